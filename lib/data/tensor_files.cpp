#include "data/tensor_files.h"

#include <filesystem>

namespace thimble::data {
namespace {

namespace fs = std::filesystem;

// stem_0, stem_1, ... as far as they are there.
std::vector<std::string> numbered(const std::string& folder, const std::string& stem,
                                  const std::string& extension) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::size_t i = 0;; ++i) {
    const std::string path = (fs::path(folder) / (stem + std::to_string(i) + extension)).string();
    if (!fs::exists(path, error)) return files;
    files.push_back(path);
  }
}

class TensorSamples : public SampleSource {
 public:
  TensorSamples(std::vector<std::vector<std::string>> calls, std::vector<InputSpec> inputs,
                TensorReader read)
      : calls_(std::move(calls)), inputs_(std::move(inputs)), read_(read) {}

  std::size_t size() const override { return calls_.size(); }
  bool begins(std::size_t) const override { return true; }

  Expected<std::vector<Array>> read(std::size_t index) const override {
    std::vector<Array> arrays;
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      THIMBLE_ASSIGN(Array array, read_(calls_[index][i]));
      array.name = inputs_[i].name;
      arrays.push_back(std::move(array));
    }
    return arrays;
  }

 private:
  std::vector<std::vector<std::string>> calls_;
  std::vector<InputSpec> inputs_;
  TensorReader read_;
};

}  // namespace

Expected<std::vector<std::vector<std::string>>> tensor_files(const std::string& folder) {
  std::vector<std::vector<std::string>> calls = {numbered(folder, "input_", ".pb")};
  if (!calls[0].empty()) return calls;
  calls.clear();
  for (const std::string& set : numbered(folder, "test_data_set_", ""))
    calls.push_back(numbered(set, "input_", ".pb"));
  if (calls.empty()) return not_found("the folder holds no test_data_set_0").in(folder);
  return calls;
}

Expected<std::unique_ptr<SampleSource>> tensor_samples(const std::string& folder,
                                                       const std::vector<InputSpec>& inputs,
                                                       TensorReader read) {
  THIMBLE_ASSIGN(auto calls, tensor_files(folder));
  for (const std::vector<std::string>& call : calls) {
    if (call.size() >= inputs.size()) continue;
    return invalid_argument("a test_data_set holds " + std::to_string(call.size()) +
                            " inputs, and the model takes " + std::to_string(inputs.size()))
        .in(folder);
  }
  return std::unique_ptr<SampleSource>(new TensorSamples(std::move(calls), inputs, read));
}

}  // namespace thimble::data
