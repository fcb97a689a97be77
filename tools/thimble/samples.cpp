#include "tools/thimble/samples.h"

#include "calibrate/calibration.h"
#include "formats/all.h"

namespace thimble::cli {
namespace {

// Sets that are only run or scored hold halves as they are, and a type more than a calibration
// takes.
std::string descr_of(ir::DType type) {
  if (type == ir::DType::kF16) return "<f2";
  if (type == ir::DType::kBF16) return "<V2";
  if (type == ir::DType::kI16) return "<i2";
  return calibrate::descr_of(type);
}

Expected<data::Array> read_tensor(const std::string& path) {
  THIMBLE_ASSIGN(const ir::Weight weight, formats::read_tensor(path));
  data::Array array{weight.name, descr_of(weight.dtype), weight.dims, {}};
  if (array.descr.empty()) {
    return unsupported("tensors of " + std::string(ir::dtype_name(weight.dtype)) +
                       " are not given to models")
        .in(path);
  }
  const std::span<const std::byte> bytes = weight.source->in_place();
  array.bytes.assign(bytes.begin(), bytes.end());
  return array;
}

}  // namespace

Expected<std::unique_ptr<data::SampleSource>> open_samples(
    const recipe::DataSet& set, const std::vector<data::InputSpec>& inputs) {
  return recipe::open_data_set(set, inputs, read_tensor);
}

}  // namespace thimble::cli
