#pragma once
// Inputs for models that take tensors, one call at a time, so that a data set is never held whole
// but for the bytes of its file.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/npz.h"
#include "support/expected.h"

namespace thimble::data {

// What a model wants of one input. A dim of -1 is free: images and IDX files take 1 for it.
struct InputSpec {
  std::string name;
  std::string descr;  // NumPy's: "<f4", "<i8", ...
  std::vector<std::int64_t> dims;
};

class SampleSource {
 public:
  virtual ~SampleSource() = default;
  virtual std::size_t size() const = 0;  // calls, > 0
  // The arrays of one call, by the inputs' names. Thread-safe.
  virtual Expected<std::vector<Array>> read(std::size_t index) const = 0;
  // The class that the call's input belongs to, where the data set says it.
  virtual std::optional<std::int64_t> label(std::size_t) const { return std::nullopt; }
  // Does a sequence begin with this call? States that are carried from call to call begin afresh.
  virtual bool begins(std::size_t index) const { return index == 0; }
};

// How bytes become numbers: x = (byte * scale - mean) / deviation, mean and deviation per channel
// (one entry: the same for all).
struct Preprocessing {
  float scale = 1;
  std::vector<float> mean = {0};
  std::vector<float> deviation = {1};

  float number(std::uint8_t byte, std::size_t channel) const {
    return (static_cast<float>(byte) * scale - mean[mean.size() > 1 ? channel : 0]) /
           deviation[deviation.size() > 1 ? channel : 0];
  }
};

// `mean` and `deviation` have one number or one for each channel, deviations above 0.
Status check_preprocessing(const Preprocessing& preprocessing, std::size_t channels);

// A NumPy archive, or a folder of them in the order of their names. An archive is one call when its
// arrays have the inputs' ranks, and one call per entry of the first axis when some have one more;
// the others are then the same in each of its calls. Each archive begins a sequence.
Expected<std::unique_ptr<SampleSource>> npz_samples(const std::string& path,
                                                    const std::vector<InputSpec>& inputs);

// IDX files of unsigned bytes (the MNIST database's format, plain or compressed by gzip): images
// [count, height, width] or [count, height, width, channels] for the model's only input, and labels
// [count]; no labels where `labels` is empty.
Expected<std::unique_ptr<SampleSource>> idx_samples(const std::string& images,
                                                    const std::string& labels,
                                                    const std::vector<InputSpec>& inputs,
                                                    const Preprocessing& preprocessing);

}  // namespace thimble::data
