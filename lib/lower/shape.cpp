// Operators that move elements about, and those over axes.

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "lower/lowering.h"

namespace thimble::lower {
namespace {

Expected<std::int64_t> rank_of(const Lowering& lowering, ir::ValueId value) {
  const ir::Shape* shape = lowering.shape(value);
  if (shape == nullptr) return unsupported("the rank of an input is unknown");
  return static_cast<std::int64_t>(shape->size());
}

std::int64_t wrap(std::int64_t axis, std::int64_t rank) { return axis < 0 ? axis + rank : axis; }

Status lower_reshape(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lowering.emit_plain(program::Op::kReshape, node);
}

Status lower_expand(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  return lowering.emit_plain(program::Op::kExpand, node);
}

Status lower_range(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  const auto start = lowering.constant_integers(node.inputs[0]);
  const auto step = lowering.constant_integers(node.inputs[2]);
  if (!start || !step || start->front() != 0 || step->front() != 1) {
    return unsupported("Range is supported from 0 in steps of 1").at_tensor(node.name);
  }
  return lowering.emit_plain(program::Op::kRange, node);
}

Status lower_axis(Lowering& lowering, const ir::Node& node, program::Op op, std::int64_t fallback) {
  THIMBLE_ASSIGN(const std::int64_t rank, rank_of(lowering, node.inputs[0]));
  return lowering.emit_plain(op, node,
                             {ints("axis", {wrap(node.integer("axis", fallback), rank)})});
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

Status lower_cumsum(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  const auto axis = lowering.constant_integers(node.inputs[1]);
  if (!axis || node.integer("reverse", 0) != 0 || node.integer("exclusive", 0) != 0) {
    return unsupported("CumSum is supported forwards and inclusive, with a constant axis")
        .at_tensor(node.name);
  }
  THIMBLE_ASSIGN(const std::int64_t rank, rank_of(lowering, node.inputs[0]));
  return lowering.emit_plain(program::Op::kCumSum, node,
                             {ints("axis", {wrap(axis->front(), rank)})});
}

Status lower_slice(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  const auto starts = lowering.constant_integers(node.inputs[1]);
  const auto ends = lowering.constant_integers(node.inputs[2]);
  if (!starts || !ends)
    return unsupported("Slice is supported with constant bounds").at_tensor(node.name);
  std::vector<std::int64_t> axes, steps(starts->size(), 1);
  for (std::size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (node.inputs.size() > 3 && node.inputs[3].valid()) {
    const auto given = lowering.constant_integers(node.inputs[3]);
    if (!given) return unsupported("Slice is supported with constant axes").at_tensor(node.name);
    axes = *given;
  }
  if (node.inputs.size() > 4 && node.inputs[4].valid()) {
    const auto given = lowering.constant_integers(node.inputs[4]);
    if (!given) return unsupported("Slice is supported with constant steps").at_tensor(node.name);
    steps = *given;
  }
  THIMBLE_ASSIGN(const std::int64_t rank, rank_of(lowering, node.inputs[0]));
  for (std::int64_t& axis : axes) axis = wrap(axis, rank);
  return lowering.emit_plain(
      program::Op::kSlice, node,
      {ints("starts", *starts), ints("ends", *ends), ints("axes", axes), ints("steps", steps)});
}

// One slice per part: parts are read by different instructions, each of which wants it contiguous.
Status lower_split(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  THIMBLE_ASSIGN(const std::int64_t rank, rank_of(lowering, node.inputs[0]));
  const std::int64_t axis = wrap(node.integer("axis", 0), rank);
  THIMBLE_ASSIGN(const std::int32_t x, lowering.slot(node.inputs[0]));
  std::int64_t start = 0;
  for (const ir::ValueId part : node.outputs) {
    if (!part.valid()) return unsupported("Split with an unused part").at_tensor(node.name);
    const ir::Shape* shape = lowering.shape(part);
    const auto length =
        shape != nullptr ? (*shape)[static_cast<std::size_t>(axis)].constant() : std::nullopt;
    if (!length)
      return unsupported("Split is supported along an axis of known length").at_tensor(node.name);
    THIMBLE_ASSIGN(const std::int32_t y, lowering.slot(part));
    lowering.emit(program::Op::kSlice, node, {x}, {y}).attributes = {
        ints("starts", {start}), ints("ends", {start + *length}), ints("axes", {axis}),
        ints("steps", {1})};
    start += *length;
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

Status lower_reduce(Lowering& lowering, ir::NodeId, const ir::Node& node) {
  THIMBLE_ASSIGN(const std::int64_t rank, rank_of(lowering, node.inputs[0]));
  std::vector<std::int64_t> axes = node.integers("axes");
  if (node.inputs.size() > 1 && node.inputs[1].valid()) {
    const auto given = lowering.constant_integers(node.inputs[1]);
    if (!given)
      return unsupported("reductions are supported over constant axes").at_tensor(node.name);
    axes = *given;
  }
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
  return unsupported("no operator " + node.op);
}

}  // namespace

Handler shape_handler(std::string_view op, std::string_view domain) {
  if (!domain.empty()) return nullptr;
  if (op == "Reshape" || op == "Unsqueeze" || op == "Squeeze" || op == "Flatten")
    return lower_reshape;
  if (op == "Expand") return lower_expand;
  if (op == "Range") return lower_range;
  if (op == "Gather") return lower_gather;
  if (op == "Concat") return lower_concat;
  if (op == "Slice") return lower_slice;
  if (op == "Split") return lower_split;
  if (op == "Softmax") return lower_softmax;
  if (op == "CumSum") return lower_cumsum;
  for (const auto& [name, function] : kReductions) {
    if (op == name) return lower_reduce;
  }
  return nullptr;
}

}  // namespace thimble::lower
