#include "quant/decode.h"

#include "ir/decode.h"

namespace thimble::quant {

Expected<std::vector<float>> decode_rows(const ir::Weight& weight, std::int64_t begin,
                                         std::int64_t end) {
  if (weight.source == nullptr) {
    return invalid_argument("the values of this weight are not known").at_tensor(weight.name);
  }
  THIMBLE_ASSIGN(const ir::Rows rows, weight.source->read(begin, end));
  std::vector<float> out(static_cast<std::size_t>((end - begin) * weight.inputs()));
  if (Status status = ir::decode_rows(weight.encoding, weight.dtype, rows, weight.inputs(), out);
      !status) {
    return std::move(status).error().at_tensor(weight.name);
  }
  return out;
}

Status decode_rows(const ir::Encoding& encoding, const ir::Rows& streams, std::int64_t rows,
                   std::int64_t inputs, float* out) {
  THIMBLE_CHECK(streams.count == rows && !encoding.is_dense(), "streams of encoded rows");
  return ir::decode_rows(encoding, ir::DType::kF32, streams, inputs,
                         {out, static_cast<std::size_t>(rows * inputs)});
}

}  // namespace thimble::quant
