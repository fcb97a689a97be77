#include "passes/simplify/constant_work.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "support/checked.h"

namespace thimble::passes {
namespace {

constexpr std::uint64_t kBeyond = std::numeric_limits<std::uint64_t>::max();

std::uint64_t capped_product(std::uint64_t a, std::uint64_t b) {
  return checked_mul(a, b).value_or(kBeyond);
}

std::uint64_t elements(const ir::Graph& graph, ir::ValueId id) {
  if (!id.valid() || !graph.value(id).shape) return 0;
  std::uint64_t count = 1;
  for (const ir::Dim& dim : *graph.value(id).shape)
    count = capped_product(count, static_cast<std::uint64_t>(dim.constant().value_or(0)));
  return count;
}

std::uint64_t dim_from_end(const ir::Graph& graph, ir::ValueId id, std::size_t from_end) {
  const auto& shape = graph.value(id).shape;
  if (!shape || shape->size() < from_end) return 1;
  return static_cast<std::uint64_t>((*shape)[shape->size() - from_end].constant().value_or(1));
}

// What visits each element of its operands and results a few times at most.
bool is_linear(const ir::Node& node) {
  static constexpr std::string_view kLinear[] = {
      "Abs",      "Add",        "And",
      "ArgMax",   "ArgMin",     "BitCast",
      "Cast",     "Ceil",       "Clip",
      "Compress", "Concat",     "ConstantOfShape",
      "Cos",      "CumSum",     "Div",
      "Equal",    "Erf",        "Exp",
      "Expand",   "EyeLike",    "Flatten",
      "Floor",    "Gather",     "GatherElements",
      "GatherND", "Gelu",       "Greater",
      "Identity", "Less",       "GreaterOrEqual",
      "Log",      "LogSoftmax", "LayerNormalization",
      "Max",      "Mean",       "LessOrEqual",
      "Min",      "Mod",        "RMSNormalization",
      "Mul",      "Neg",        "NonZero",
      "Not",      "OneHot",     "Or",
      "Pad",      "Pow",        "Range",
      "Relu",     "Reshape",    "Reciprocal",
      "Round",    "ScatterND",  "ScatterElements",
      "Shape",    "Sigmoid",    "Sign",
      "Sin",      "Size",       "Slice",
      "Softmax",  "Split",      "Sqrt",
      "Squeeze",  "Sub",        "Sum",
      "Tanh",     "Tile",       "Transpose",
      "Trilu",    "Unsqueeze",  "Where",
      "Xor",
  };
  return node.op.starts_with("Reduce") ||
         std::find(std::begin(kLinear), std::end(kLinear), node.op) != std::end(kLinear);
}

}  // namespace

std::uint64_t work_of(const ir::Graph& graph, const ir::Node& node) {
  std::uint64_t read = 0, written = 0, combined = 1;
  for (const ir::ValueId input : node.inputs) {
    const std::uint64_t count = elements(graph, input);
    read = checked_add(read, count).value_or(kBeyond);
    if (input.valid()) combined = capped_product(combined, count);
  }
  for (const ir::ValueId output : node.outputs)
    written = checked_add(written, elements(graph, output)).value_or(kBeyond);
  const std::uint64_t visited = checked_add(read, written).value_or(kBeyond);
  if (is_linear(node)) return visited;
  if (node.is("MatMul")) return capped_product(written, dim_from_end(graph, node.inputs[0], 1));
  if (node.is("Gemm"))
    return capped_product(
        written, dim_from_end(graph, node.inputs[0], node.integer("transA", 0) != 0 ? 2 : 1));
  if (node.is("Einsum")) return combined;  // every sum may run over all labels
  // Four taps an axis, or as many as an axis shrinks.
  if (node.is("Resize")) return capped_product(visited, 64);
  return capped_product(visited,
                        visited);  // windows, boxes, determinants: none looks at more than pairs
}

}  // namespace thimble::passes
