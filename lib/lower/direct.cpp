// Operators that the runtime knows under their ONNX names: inputs and attributes go over as they
// are.

#include "lower/lowering.h"

namespace thimble::lower {
namespace {

struct Carry {
  const ir::Model& model;
  program::Attribute out;

  Status operator()(std::int64_t value) { return out.ints = {value}, ok(); }
  Status operator()(float value) { return out.floats = {value}, ok(); }
  Status operator()(const std::string& value) { return out.text = value, ok(); }
  Status operator()(const std::vector<std::int64_t>& value) { return out.ints = value, ok(); }
  Status operator()(const std::vector<float>& value) { return out.floats = value, ok(); }
  // Lists of texts are few and short: joined, a line each.
  Status operator()(const std::vector<std::string>& value) {
    for (const std::string& text : value) out.text += (out.text.empty() ? "" : "\n") + text;
    return ok();
  }
  // A small tensor: its elements.
  Status operator()(ir::WeightId id) {
    const ir::Weight& weight = model.weight(id);
    if (ir::dtype_is_float(weight.dtype)) {
      THIMBLE_ASSIGN(out.floats, ir::read_floats(weight));
    } else {
      THIMBLE_ASSIGN(out.ints, ir::read_integers(weight));
    }
    return ok();
  }
  Status operator()(ir::GraphId) { return ok(); }  // a region of the instruction
};

}  // namespace

Expected<std::vector<program::Attribute>> Lowering::attributes_of(const ir::Node& node) const {
  std::vector<program::Attribute> attributes;
  for (const ir::Attribute& attribute : node.attributes) {
    Carry carry{model_, {attribute.name, {}, {}, {}}};
    THIMBLE_TRY(std::visit(carry, attribute.value));
    attributes.push_back(std::move(carry.out));
  }
  return attributes;
}

Status lower_direct(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  const program::OpRule* rule = node.domain.empty() ? program::find_onnx_rule(node.op) : nullptr;
  if (rule == nullptr) {
    const std::string full = node.domain.empty() ? node.op : node.domain + "." + node.op;
    return unsupported("the runtime has no operator " + full).at_tensor(node.name);
  }
  THIMBLE_ASSIGN(std::vector<program::Attribute> attributes, lowering.attributes_of(node));
  return lowering.emit_plain(rule->op, node, std::move(attributes));
}

}  // namespace thimble::lower
