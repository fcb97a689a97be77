#include "data/samples.h"

#include "data/files.h"

namespace thimble::data {
namespace {

class NpzSamples : public SampleSource {
 public:
  static Expected<std::unique_ptr<SampleSource>> open(const std::string& path,
                                                      const std::vector<InputSpec>& inputs) {
    auto source = std::make_unique<NpzSamples>();
    THIMBLE_ASSIGN(const std::vector<std::string> files, files_of(path, {".npz"}));
    for (const std::string& file : files) THIMBLE_TRY(source->add(file, inputs));
    return source;
  }

  std::size_t size() const override { return calls_.size(); }

  Expected<std::vector<Array>> read(std::size_t index) const override {
    const Call& call = calls_[index];
    std::vector<Array> arrays;
    for (const Given& given : archives_[call.archive])
      arrays.push_back(given.stacked ? entry_of(given.array, call.entry) : given.array);
    return arrays;
  }

  bool begins(std::size_t index) const override { return calls_[index].entry == 0; }

 private:
  struct Call {
    std::size_t archive;
    std::size_t entry;  // of the first axis of stacked arrays
  };
  struct Given {
    Array array;
    bool stacked;
  };

  static Array entry_of(const Array& all, std::size_t entry) {
    Array one{all.name, all.descr, {all.dims.begin() + 1, all.dims.end()}, {}};
    const auto bytes = static_cast<std::size_t>(one.count() * descr_bytes(all.descr));
    const auto from = all.bytes.begin() + static_cast<std::ptrdiff_t>(entry * bytes);
    one.bytes.assign(from, from + static_cast<std::ptrdiff_t>(bytes));
    return one;
  }

  // Many calls side by side for an input that takes one?
  static bool holds_batches(const Array& array, const InputSpec& input) {
    return array.dims.size() == input.dims.size() && !array.dims.empty() && input.dims[0] == 1 &&
           array.dims[0] != 1;
  }

  Status add(const std::string& path, const std::vector<InputSpec>& inputs) {
    THIMBLE_ASSIGN(std::vector<Array> all, read_npz(path));
    std::vector<Given> archive;
    std::optional<std::int64_t> count;
    for (const InputSpec& input : inputs) {
      const Array* found = find(all, input.name);
      if (found == nullptr) return not_found("no array '" + input.name + "'").in(path);
      Array array = *found;
      if (holds_batches(array, input)) array.dims.insert(array.dims.begin() + 1, 1);
      const bool stacked = array.dims.size() == input.dims.size() + 1;
      if (!stacked && array.dims.size() != input.dims.size()) {
        return invalid_argument("the model takes " + std::to_string(input.dims.size()) +
                                " axes; an array has as many, or one more in front")
            .in(path)
            .at_tensor(input.name);
      }
      if (stacked && count.value_or(array.dims[0]) != array.dims[0])
        return invalid_argument("the arrays hold different numbers of calls").in(path);
      if (stacked) count = array.dims[0];
      archive.push_back({std::move(array), stacked});
    }
    if (count == 0) return invalid_argument("the arrays hold no call").in(path);
    for (std::int64_t i = 0; i < count.value_or(1); ++i)
      calls_.push_back({archives_.size(), static_cast<std::size_t>(i)});
    archives_.push_back(std::move(archive));
    return ok();
  }

  std::vector<std::vector<Given>> archives_;
  std::vector<Call> calls_;
};

}  // namespace

Expected<std::unique_ptr<SampleSource>> npz_samples(const std::string& path,
                                                    const std::vector<InputSpec>& inputs) {
  return NpzSamples::open(path, inputs);
}

}  // namespace thimble::data
