#include "passes/quantize/matrix.h"

#include <algorithm>
#include <cmath>

#include "quant/decode.h"

namespace thimble::passes {

Expected<std::vector<float>> read_matrix(const ir::Weight& weight, int axis) {
  THIMBLE_ASSIGN(std::vector<float> values, quant::decode_rows(weight, 0, weight.rows()));
  const auto bad =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  if (bad != values.end()) {
    return unsupported("a weight is not finite")
        .at_tensor(weight.name)
        .note("in row " + std::to_string((bad - values.begin()) / weight.inputs()))
        .fix("leave it out with a rule of `skip: true`, or repair the checkpoint");
  }
  const bool columns = weight.encoding.is_dense() && axis == 0 && weight.dims.size() == 2;
  const bool turned = !weight.encoding.is_dense() && (weight.encoding.axis == 0) != (axis == 0);
  if (turned)
    return unsupported("the weight comes quantized along its other axis")
        .at_tensor(weight.name)
        .fix("leave it out with a rule of `skip: true`");
  if (!columns) return values;
  const auto inputs = static_cast<std::size_t>(weight.dims[0]);
  const auto rows = static_cast<std::size_t>(weight.dims[1]);
  std::vector<float> out(values.size());
  for (std::size_t k = 0; k < inputs; ++k) {
    for (std::size_t n = 0; n < rows; ++n) out[n * inputs + k] = values[k * rows + n];
  }
  return out;
}

}  // namespace thimble::passes
