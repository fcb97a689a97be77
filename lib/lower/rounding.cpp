// Values with fixed scales that are read as floats: rounded, where the ONNX writer would round
// them. Operators on codes and quantized products see to it themselves.

#include <algorithm>

#include "ir/integer_forms.h"
#include "lower/lowering.h"

namespace thimble::lower {
bool Lowering::reads_rounded(ir::NodeId reader, ir::ValueId x) const {
  const ir::Value& value = graph().value(x);
  if (value.activation != ir::ActivationScheme::kStatic || value.weight.valid() ||
      value.dtype != ir::DType::kF32 || on_codes(reader))
    return false;
  // Products that read one value are one instruction.
  const auto reads_floats = [&](ir::NodeId user) {
    const auto linear = ir::match_linear(model_, graph(), user);
    return linear && linear->input == x && model_.weight(linear->weight).encoding.is_dense();
  };
  if (const auto linear = ir::match_linear(model_, graph(), reader); linear && linear->input == x) {
    const std::vector<ir::NodeId> users = graph().users(x);
    return std::any_of(users.begin(), users.end(), reads_floats) &&
           ir::is_from_codes(model_, graph(), x);
  }
  if (const auto conv = ir::match_convolution(model_, graph(), reader);
      conv && conv->input == x && !model_.weight(conv->weight).encoding.is_dense())
    return !multiplies_tiles(model_, *conv);
  return ir::works_on_codes(model_, graph(), reader) || ir::is_from_codes(model_, graph(), x);
}

Expected<std::int32_t> Lowering::rounded_slot(const ir::Node& reader, ir::ValueId x) {
  THIMBLE_ASSIGN(const std::int32_t plain, slot(x));
  if (scope().decoded.contains(x.index)) return plain;
  if (const auto known = scope().rounded.find(x.index); known != scope().rounded.end())
    return known->second;
  THIMBLE_ASSIGN(program::Slot described, describe(x));
  described.name += "/rounded";
  const std::int32_t index = add_slot(std::move(described));
  const ir::StaticScale& fixed = graph().value(x).static_scale;
  emit(program::Op::kRoundToCodes, reader, {plain}, {index}).attributes = {
      floats("scale", {fixed.scale}), ints("zero", {fixed.zero + 127})};
  return scope().rounded[x.index] = index;
}

Status Lowering::lower_with_rounded(ir::NodeId id) {
  const ir::Node& node = graph().node(id);
  std::unordered_map<std::uint32_t, std::int32_t> plain;
  for (const ir::ValueId x : node.inputs) {
    if (!x.valid() || plain.contains(x.index) || !reads_rounded(id, x)) continue;
    THIMBLE_ASSIGN(const std::int32_t index, rounded_slot(node, x));
    plain[x.index] = scope().slots[x.index];
    scope().slots[x.index] = index;
  }
  const Handler handler = find_handler(node.op, node.domain);
  Status status = handler != nullptr ? handler(*this, id, node) : lower_direct(*this, id, node);
  for (const auto& known : plain) scope().slots[known.first] = known.second;
  return status;
}

}  // namespace thimble::lower
