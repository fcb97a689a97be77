#include "tools/thimble/samples.h"

#include "formats/all.h"

namespace thimble::cli {
namespace {

std::string descr_of(ir::DType type) {
  switch (type) {
    case ir::DType::kF32:
      return "<f4";
    case ir::DType::kF64:
      return "<f8";
    case ir::DType::kF16:
      return "<f2";
    case ir::DType::kI64:
      return "<i8";
    case ir::DType::kI32:
      return "<i4";
    case ir::DType::kI16:
      return "<i2";
    case ir::DType::kI8:
      return "|i1";
    case ir::DType::kU8:
      return "|u1";
    case ir::DType::kBool:
      return "|b1";
    default:
      return "";
  }
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
