// Attributes that became inputs.

#include <array>

#include "formats/onnx/upgrade.h"

namespace thimble::formats::onnx {
namespace {

using Integers = std::vector<std::int64_t>;

// The attribute, a list of integers, as input `index`.
void list_to_input(Rewriter& r, std::string_view name, std::size_t index) {
  if (const auto list = r.take<Integers>(name)) r.set_input(index, r.integers(*list));
}

Status slice(Rewriter& r) {
  const auto starts = r.take<Integers>("starts"), ends = r.take<Integers>("ends");
  if (!starts || !ends || starts->size() != ends->size()) {
    return r.refuse("it needs as many starts as ends");
  }
  Integers axes = r.take<Integers>("axes").value_or(Integers{});
  if (axes.empty()) {
    for (std::size_t i = 0; i < starts->size(); ++i) axes.push_back(static_cast<std::int64_t>(i));
  }
  r.set_input(1, r.integers(*starts));
  r.set_input(2, r.integers(*ends));
  r.set_input(3, r.integers(axes));
  return ok();
}

Status clip(Rewriter& r) {
  const auto low = r.take<float>("min"), high = r.take<float>("max");
  if (low) r.set_input(1, r.real(*low));
  if (high) r.set_input(2, r.real(*high));
  return ok();
}

Status pad(Rewriter& r) {
  auto pads = r.take<Integers>("pads");
  if (!pads) pads = r.take<Integers>("paddings");  // its name in opset 1
  if (!pads) return r.refuse("it needs its attribute pads");
  const float value = r.take<float>("value").value_or(0.0f);
  r.set_input(1, r.integers(*pads));
  r.set_input(2, r.real(value));
  return ok();
}

Status top_k(Rewriter& r) {
  const auto k = r.take<std::int64_t>("k");
  if (!k) return r.refuse("it needs its attribute k");
  r.set_input(1, r.integers({*k}));
  return ok();
}

Status axes(Rewriter& r) {
  list_to_input(r, "axes", 1);
  return ok();
}

Status split(Rewriter& r) {
  list_to_input(r, "split", 1);
  return ok();
}

// Opset 18 asks for a count where there are no sizes.
Status split_count(Rewriter& r) {
  if (!r.has(1)) {
    r.set_default("num_outputs", static_cast<std::int64_t>(r.node().outputs.size()));
  }
  return ok();
}

Status reshape(Rewriter& r) {
  list_to_input(r, "shape", 1);
  return ok();
}

// The axis of a discrete Fourier transform: an attribute with default 1, then an input with
// default -2.
Status dft(Rewriter& r) {
  const std::int64_t axis = r.take<std::int64_t>("axis").value_or(1);
  r.set_input(2, r.integer(axis));
  return ok();
}

constexpr std::array kUpgradeAttributes = {
    Adapter{"Slice", 10, slice},
    Adapter{"Clip", 11, clip},
    Adapter{"Pad", 11, pad},
    Adapter{"TopK", 10, top_k},
    Adapter{"Squeeze", 13, axes},
    Adapter{"Unsqueeze", 13, axes},
    Adapter{"Split", 13, split},
    Adapter{"Split", 18, split_count},
    Adapter{"ReduceSum", 13, axes},
    Adapter{"ReduceL1", 18, axes},
    Adapter{"ReduceL2", 18, axes},
    Adapter{"ReduceLogSum", 18, axes},
    Adapter{"ReduceLogSumExp", 18, axes},
    Adapter{"ReduceMax", 18, axes},
    Adapter{"ReduceMean", 18, axes},
    Adapter{"ReduceMin", 18, axes},
    Adapter{"ReduceProd", 18, axes},
    Adapter{"ReduceSumSquare", 18, axes},
    Adapter{"Reshape", 5, reshape},
    Adapter{"DFT", 20, dft},
};

}  // namespace

std::span<const Adapter> attribute_adapters() { return kUpgradeAttributes; }

}  // namespace thimble::formats::onnx
