// If, Loop and Scan: their bodies become regions.

#include "lower/lowering.h"

namespace thimble::lower {
namespace {

Status lower_control(Lowering& lowering, program::Op op, const ir::Node& node,
                     std::initializer_list<std::string_view> bodies) {
  std::vector<std::int32_t> regions;
  for (const std::string_view name : bodies) {
    THIMBLE_ASSIGN(const std::int32_t region,
                   lowering.lower_body(std::get<ir::GraphId>(*node.find(name))));
    regions.push_back(region);
  }
  std::vector<program::Attribute> attributes;
  for (const ir::Attribute& attribute : node.attributes) {
    if (const auto* one = std::get_if<std::int64_t>(&attribute.value))
      attributes.push_back(ints(attribute.name, {*one}));
    if (const auto* many = std::get_if<std::vector<std::int64_t>>(&attribute.value))
      attributes.push_back(ints(attribute.name, *many));
  }
  std::vector<std::int32_t> inputs, outputs;
  for (const ir::ValueId value : node.inputs) {
    THIMBLE_ASSIGN(const std::int32_t index, lowering.slot(value));
    inputs.push_back(index);
  }
  for (const ir::ValueId value : node.outputs) {
    THIMBLE_ASSIGN(const std::int32_t index, lowering.slot(value));
    outputs.push_back(index);
  }
  program::Instruction& instruction =
      lowering.emit(op, node, std::move(inputs), std::move(outputs));
  instruction.attributes = std::move(attributes);
  instruction.regions = std::move(regions);
  return ok();
}

Status lower_if(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lower_control(lowering, program::Op::kIf, node, {"then_branch", "else_branch"});
}
Status lower_loop(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lower_control(lowering, program::Op::kLoop, node, {"body"});
}
Status lower_scan(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lower_control(lowering, program::Op::kScan, node, {"body"});
}

}  // namespace

Handler control_handler(std::string_view op, std::string_view domain) {
  if (!domain.empty()) return nullptr;
  if (op == "If") return lower_if;
  if (op == "Loop") return lower_loop;
  if (op == "Scan") return lower_scan;
  return nullptr;
}

}  // namespace thimble::lower
