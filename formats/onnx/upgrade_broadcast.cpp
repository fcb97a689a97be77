// Broadcasting before opset 7: the second operand's dims stand under the first's from `axis` on,
// where numpy's rule, ONNX's since, has them stand under the last ones.

#include <array>

#include "formats/onnx/upgrade.h"

namespace thimble::formats::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

ir::ValueId shape_of(Rewriter& r, ir::ValueId value) { return r.emit("Shape", {value}); }

// One-element vector: how many dims of 1 to append to the second operand.
ir::ValueId missing_dims(Rewriter& r, ir::ValueId first, ir::ValueId second, std::int64_t axis) {
  ir::ValueId count = r.emit("Shape", {shape_of(r, first)});
  count = r.emit("Sub", {count, r.emit("Shape", {shape_of(r, second)})});
  return r.emit("Sub", {count, r.integers({axis})});
}

Status append_ones(Rewriter& r, std::int64_t axis) {
  const ir::ValueId first = r.input(0), second = r.input(1);
  if (!first.valid() || !second.valid()) return r.refuse("it needs two operands");
  const auto second_rank = r.rank_of(second), first_rank = r.rank_of(first);
  // From the end of the first operand's dims, how many there are doesn't matter.
  const bool from_end = axis < 0;
  if (second_rank && (first_rank || from_end)) {
    const std::int64_t count = (from_end ? -axis : *first_rank - axis) - *second_rank;
    if (count < 0 || count > 64) return r.refuse("its operands don't meet at its axis");
    Integers axes;
    for (std::int64_t i = 0; i < count; ++i) axes.push_back(*second_rank + i);
    if (!axes.empty()) r.set_input(1, r.emit("Unsqueeze", {second, r.integers(axes)}));
    return ok();
  }
  if (from_end) return r.refuse("an axis from the end, and operands of unknown rank");
  const ir::WeightId one =
      r.model().add_weight(ir::make_dense("one", {1}, std::vector<std::int64_t>{1}));
  const ir::ValueId ones =
      r.emit("ConstantOfShape", {missing_dims(r, first, second, axis)}, {{"value", one}});
  const ir::ValueId dims =
      r.emit("Concat", {shape_of(r, second), ones}, {{"axis", std::int64_t{0}}});
  r.set_input(1, r.emit("Reshape", {second, dims}));
  return ok();
}

Status binary(Rewriter& r) {
  const auto broadcast = r.take<std::int64_t>("broadcast");
  const auto axis = r.take<std::int64_t>("axis");
  if (broadcast.value_or(0) == 0 || !axis) return ok();
  return append_ones(r, *axis);
}

// A slope per channel was a vector, whatever the rank of the input.
Status prelu(Rewriter& r) {
  const auto rank = r.rank_of(r.input(1));
  if (rank && *rank != 1) return ok();
  const ir::Weight* slope = r.weight_of(r.input(1));
  if (slope != nullptr && slope->element_count() == 1) return ok();
  return append_ones(r, 1);
}

Status gemm(Rewriter& r) {
  r.drop_attribute("broadcast");
  return ok();
}

constexpr std::array kUpgradeBroadcast = {
    Adapter{"Add", 7, binary},  Adapter{"Sub", 7, binary},     Adapter{"Mul", 7, binary},
    Adapter{"Div", 7, binary},  Adapter{"Pow", 7, binary},     Adapter{"And", 7, binary},
    Adapter{"Or", 7, binary},   Adapter{"Xor", 7, binary},     Adapter{"Equal", 7, binary},
    Adapter{"Less", 7, binary}, Adapter{"Greater", 7, binary}, Adapter{"PRelu", 7, prelu},
    Adapter{"Gemm", 7, gemm},
};

}  // namespace

std::span<const Adapter> broadcast_adapters() { return kUpgradeBroadcast; }

}  // namespace thimble::formats::onnx
