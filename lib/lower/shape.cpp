// Operators that move elements about, and those over axes.

#include <algorithm>
#include <array>
#include <utility>

#include "lower/lowering.h"

namespace thimble::lower {
namespace {

std::int64_t wrap(std::int64_t axis, std::int64_t rank) { return axis < 0 ? axis + rank : axis; }

// Counted from the front where the rank is known; otherwise as it is: the instruction counts.
std::int64_t axis_of(const Lowering& lowering, ir::ValueId value, std::int64_t axis) {
  const ir::Shape* shape = lowering.shape(value);
  return shape == nullptr ? axis : wrap(axis, static_cast<std::int64_t>(shape->size()));
}

Status lower_reshape(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (!lowering.is_planned(node)) return lower_direct(lowering, id, node);
  return lowering.emit_plain(program::Op::kReshape, node);
}

Status lower_flatten(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (lowering.shape(node.outputs[0]) == nullptr) return lower_direct(lowering, id, node);
  return lowering.emit_plain(program::Op::kReshape, node);
}

Status lower_expand(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (!lowering.is_planned(node)) return lower_direct(lowering, id, node);
  return lowering.emit_plain(program::Op::kExpand, node);
}

Status lower_range(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (!lowering.is_planned(node)) return lower_direct(lowering, id, node);
  return lowering.emit_plain(program::Op::kRange, node);
}

Status lower_axis(Lowering& lowering, const ir::Node& node, program::Op op, std::int64_t fallback) {
  const std::int64_t axis = axis_of(lowering, node.inputs[0], node.integer("axis", fallback));
  return lowering.emit_plain(op, node, {ints("axis", {axis})});
}

Status lower_gather(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lower_axis(lowering, node, program::Op::kGather, 0);
}
Status lower_concat(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lower_axis(lowering, node, program::Op::kConcat, 0);
}
Status lower_softmax(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lower_axis(lowering, node, program::Op::kSoftmax, -1);
}

Status lower_cumsum(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  const auto axis = lowering.constant_integers(node.inputs[1]);
  const bool plain = node.integer("reverse", 0) == 0 && node.integer("exclusive", 0) == 0;
  if (!lowering.is_planned(node) || !axis || axis->size() != 1 || !plain)
    return lower_direct(lowering, id, node);
  return lowering.emit_plain(program::Op::kCumSum, node,
                             {ints("axis", {axis_of(lowering, node.inputs[0], axis->front())})});
}

Status lower_slice(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  const auto starts = lowering.constant_integers(node.inputs[1]);
  const auto ends = lowering.constant_integers(node.inputs[2]);
  if (!lowering.is_planned(node) || !starts || !ends) return lower_direct(lowering, id, node);
  std::vector<std::int64_t> axes, steps(starts->size(), 1);
  for (std::size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (node.inputs.size() > 3 && node.inputs[3].valid())
    axes = lowering.constant_integers(node.inputs[3]).value_or(axes);
  if (node.inputs.size() > 4 && node.inputs[4].valid())
    steps = lowering.constant_integers(node.inputs[4]).value_or(steps);
  for (std::int64_t& axis : axes) axis = axis_of(lowering, node.outputs[0], axis);
  return lowering.emit_plain(
      program::Op::kSlice, node,
      {ints("starts", *starts), ints("ends", *ends), ints("axes", axes), ints("steps", steps)});
}

// One slice per part: parts are read by different instructions, each of which wants it contiguous.
Status lower_split(Lowering& lowering, ir::NodeId id, const ir::Node& node) {
  if (!lowering.is_planned(node)) return lower_direct(lowering, id, node);
  const auto axis = axis_of(lowering, node.outputs[0], node.integer("axis", 0));
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(node.inputs[0]));
  std::int64_t start = 0;
  for (const ir::ValueId part : node.outputs) {
    const auto length = *(*lowering.shape(part))[static_cast<std::size_t>(axis)].constant();
    THIMBLE_ASSIGN(const std::int32_t y, lowering.slot(part));
    lowering.emit(program::Op::kSlice, node, {x}, {y}).attributes = {
        ints("starts", {start}), ints("ends", {start + length}), ints("axes", {axis}),
        ints("steps", {1})};
    start += length;
  }
  return ok();
}

constexpr std::array<std::pair<std::string_view, program::ReduceFunction>, 6> kReductions = {{
    {"ReduceSum", program::ReduceFunction::kSum},
    {"ReduceMean", program::ReduceFunction::kMean},
    {"ReduceMax", program::ReduceFunction::kMax},
    {"ReduceMin", program::ReduceFunction::kMin},
    {"ReduceL2", program::ReduceFunction::kL2},
    {"ReduceProd", program::ReduceFunction::kProd},
}};

// Any Reduce*, its axes found as the model runs or its elements of any type.
Status lower_reduction(Lowering& lowering, const ir::Node& node) {
  std::vector<program::Attribute> attributes = {
      ints("keepdims", {node.integer("keepdims", 1)}),
      ints("noop_with_empty_axes", {node.integer("noop_with_empty_axes", 0)})};
  attributes.push_back({"function", {}, {}, node.op});
  return lowering.emit_plain(program::Op::kReduceOver, node, std::move(attributes));
}

Status lower_reduce(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  const ir::Shape* from = lowering.shape(node.inputs[0]);
  if (!lowering.is_planned(node) || from == nullptr) return lower_reduction(lowering, node);
  const auto rank = static_cast<std::int64_t>(from->size());
  std::vector<std::int64_t> axes = node.integers("axes");
  if (node.inputs.size() > 1 && node.inputs[1].valid())
    axes = lowering.constant_integers(node.inputs[1]).value_or(axes);
  if (axes.empty() && node.integer("noop_with_empty_axes", 0) == 0) {
    for (std::int64_t axis = 0; axis < rank; ++axis) axes.push_back(axis);
  }
  for (std::int64_t& axis : axes) axis = wrap(axis, rank);
  std::sort(axes.begin(), axes.end());
  for (const auto& [name, function] : kReductions) {
    if (node.op != name) continue;
    return lowering.emit_plain(
        program::Op::kReduce, node,
        {ints("axes", axes), ints("function", {static_cast<std::int64_t>(function)})});
  }
  return lower_reduction(lowering, node);
}

}  // namespace

Handler shape_handler(std::string_view op, std::string_view domain) {
  if (!domain.empty()) return nullptr;
  if (op == "Reshape" || op == "Unsqueeze" || op == "Squeeze") return lower_reshape;
  if (op == "Flatten") return lower_flatten;
  if (op == "Expand") return lower_expand;
  if (op == "Range") return lower_range;
  if (op == "Gather") return lower_gather;
  if (op == "Concat") return lower_concat;
  if (op == "Slice") return lower_slice;
  if (op == "Split") return lower_split;
  if (op == "Softmax") return lower_softmax;
  if (op == "CumSum") return lower_cumsum;
  if (op.starts_with("Reduce")) return lower_reduce;
  return nullptr;
}

}  // namespace thimble::lower
