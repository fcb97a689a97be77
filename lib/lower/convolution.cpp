// Convolutions. One with a quantized weight multiplies tiles; any other is the operator itself.

#include "kernels/linear.h"
#include "lower/lowering.h"

namespace thimble::lower {
namespace {

// Groups that share a tile can't be multiplied apart.
bool fits_tiles(const ir::Convolution& conv) {
  return conv.group == 1 || conv.outputs / conv.group % kernels::kTileRows == 0;
}

Status lower_convolution(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  const auto conv = ir::match_convolution(lowering.model(), lowering.graph(), id);
  const bool encoded = conv && !lowering.model().weight(conv->weight).encoding.is_dense();
  if (!encoded) return lower_direct(lowering, id, node);
  const bool tiled = lowering.model().weight(conv->weight).encoding.flat && fits_tiles(*conv);
  std::vector<std::int32_t> inputs(node.inputs.size(), -1);
  for (std::size_t i = 0; i < node.inputs.size(); ++i) {
    const bool decoded = i == 1 && !tiled;
    THIMBLE_ASSIGN(inputs[i],
                   decoded ? lowering.decoded_slot(node.inputs[i]) : lowering.slot(node.inputs[i]));
  }
  THIMBLE_ASSIGN(const std::int32_t output, lowering.slot(node.outputs[0]));
  THIMBLE_ASSIGN(std::vector<program::Attribute> attributes, lowering.attributes_of(node));
  if (tiled) {
    for (program::Attribute& attribute : activation_attributes(lowering.graph().value(conv->input)))
      attributes.push_back(std::move(attribute));
  }
  lowering
      .emit(tiled ? program::Op::kConvTiles : program::Op::kConv, node, std::move(inputs), {output})
      .attributes = std::move(attributes);
  return ok();
}

}  // namespace

Handler convolution_handler(std::string_view op, std::string_view domain) {
  return domain.empty() && op == "Conv" ? lower_convolution : nullptr;
}

}  // namespace thimble::lower
