// Recurrent networks: encoded weights go over as tiles where the parts that a step multiplies begin
// with a tile, and as f32 elsewhere.

#include <algorithm>

#include "kernels/linear.h"
#include "lower/lowering.h"

namespace thimble::lower {
namespace {

bool fits_tiles(const ir::Node& node, const ir::Weight& weight, bool of_state) {
  const std::int64_t directions = weight.dims[0], width = weight.dims[1];
  const bool late = of_state && node.is("GRU") && node.integer("linear_before_reset", 0) == 0;
  return (directions == 1 || width % kernels::kTileRows == 0) &&
         (!late || width / 3 * 2 % kernels::kTileRows == 0);
}

Status lower_recurrent(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  std::vector<ir::ValueId> decoded;
  for (const ir::ValueId value : ir::recurrent_weights(lowering.model(), lowering.graph(), id)) {
    const ir::Weight& weight = lowering.model().weight(lowering.graph().value(value).weight);
    const bool tiled = !weight.encoding.is_dense() && weight.encoding.axis == -1 &&
                       fits_tiles(node, weight, value == node.inputs[2]);
    if (!weight.encoding.is_dense() && !tiled) decoded.push_back(value);
  }
  if (decoded.empty()) return lower_direct(lowering, id, node);
  std::vector<std::int32_t> inputs, outputs;
  for (const ir::ValueId value : node.inputs) {
    const bool as_f32 = std::find(decoded.begin(), decoded.end(), value) != decoded.end();
    THIMBLE_ASSIGN(const std::int32_t index,
                   as_f32 ? lowering.decoded_slot(value) : lowering.slot(value));
    inputs.push_back(index);
  }
  for (const ir::ValueId value : node.outputs) {
    THIMBLE_ASSIGN(const std::int32_t index, lowering.slot(value));
    outputs.push_back(index);
  }
  THIMBLE_ASSIGN(std::vector<program::Attribute> attributes, lowering.attributes_of(node));
  lowering.emit(program::find_onnx_rule(node.op)->op, node, std::move(inputs), std::move(outputs))
      .attributes = std::move(attributes);
  return ok();
}

}  // namespace

Handler recurrent_handler(std::string_view op, std::string_view domain) {
  const bool known = op == "LSTM" || op == "GRU" || op == "RNN";
  return domain.empty() && known ? lower_recurrent : nullptr;
}

}  // namespace thimble::lower
