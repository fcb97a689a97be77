#include "data/samples.h"

#include <algorithm>
#include <filesystem>

namespace thimble::data {
namespace {

namespace fs = std::filesystem;

class NpzSamples : public SampleSource {
 public:
  static Expected<std::unique_ptr<SampleSource>> open(const std::string& path,
                                                      const std::vector<InputSpec>& inputs) {
    auto source = std::make_unique<NpzSamples>();
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      THIMBLE_TRY(source->add(path, inputs));
      return source;
    }
    std::vector<std::string> files;
    for (const auto& entry : fs::directory_iterator(path, error)) {
      if (entry.path().extension() == ".npz") files.push_back(entry.path().string());
    }
    if (files.empty()) return not_found("no .npz file in the folder").in(path);
    std::sort(files.begin(), files.end());
    for (const std::string& file : files) THIMBLE_TRY(source->add(file, inputs));
    return source;
  }

  std::size_t size() const override { return calls_.size(); }

  Expected<std::vector<Array>> read(std::size_t index) const override {
    const Call& call = calls_[index];
    if (!call.entry) return archives_[call.archive];
    std::vector<Array> arrays;
    for (const Array& all : archives_[call.archive]) {
      Array one{all.name, all.descr, {all.dims.begin() + 1, all.dims.end()}, {}};
      const auto bytes = static_cast<std::size_t>(one.count() * descr_bytes(all.descr));
      const auto from = all.bytes.begin() + static_cast<std::ptrdiff_t>(*call.entry * bytes);
      one.bytes.assign(from, from + static_cast<std::ptrdiff_t>(bytes));
      arrays.push_back(std::move(one));
    }
    return arrays;
  }

 private:
  struct Call {
    std::size_t archive;
    std::optional<std::size_t> entry;  // of the first axis
  };

  Status add(const std::string& path, const std::vector<InputSpec>& inputs) {
    THIMBLE_ASSIGN(std::vector<Array> all, read_npz(path));
    std::vector<Array> arrays;
    std::optional<bool> stacked;
    for (const InputSpec& input : inputs) {
      const Array* array = find(all, input.name);
      if (array == nullptr) return not_found("no array '" + input.name + "'").in(path);
      const bool more = array->dims.size() == input.dims.size() + 1;
      if ((!more && array->dims.size() != input.dims.size()) || stacked.value_or(more) != more) {
        return invalid_argument("the model takes " + std::to_string(input.dims.size()) +
                                " axes; an array has as many, or all arrays have one more in front")
            .in(path)
            .at_tensor(input.name);
      }
      stacked = more;
      arrays.push_back(*array);
    }
    const std::size_t archive = archives_.size();
    if (stacked.value_or(false)) {
      const std::int64_t count = arrays[0].dims[0];
      for (const Array& array : arrays) {
        if (array.dims[0] != count)
          return invalid_argument("the arrays hold different numbers of calls").in(path);
      }
      if (count == 0) return invalid_argument("the arrays hold no call").in(path);
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i)
        calls_.push_back({archive, i});
    } else {
      calls_.push_back({archive, std::nullopt});
    }
    archives_.push_back(std::move(arrays));
    return ok();
  }

  std::vector<std::vector<Array>> archives_;
  std::vector<Call> calls_;
};

}  // namespace

Expected<std::unique_ptr<SampleSource>> npz_samples(const std::string& path,
                                                    const std::vector<InputSpec>& inputs) {
  return NpzSamples::open(path, inputs);
}

}  // namespace thimble::data
