// Operators that the standard defines by a function's body and that nothing here needs in one
// piece: windows of signals, and losses. The first form of Scan.

#include <array>

#include "formats/onnx/upgrade.h"

namespace thimble::formats::onnx {
namespace {

constexpr float kPi = 3.14159265358979f;

// a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N) for n of 0 .. size - 1, N = size or, symmetric,
// size - 1.
Status window(Rewriter& r, float a0, float a1, float a2) {
  if (!r.has(0)) return r.refuse("it has no size");
  const bool periodic = r.take<std::int64_t>("periodic").value_or(1) != 0;
  const std::int64_t type = r.take<std::int64_t>("output_datatype").value_or(1);
  const Attributes to_i64 = {{"to", std::int64_t{7}}}, to_f32 = {{"to", std::int64_t{1}}};
  const ir::ValueId size = r.emit("Cast", {r.input(0)}, to_i64);
  const ir::ValueId count =
      r.emit("Cast", {r.emit("Range", {r.integer(0), size, r.integer(1)})}, to_f32);
  const ir::ValueId length =
      r.emit("Cast", {periodic ? size : r.emit("Sub", {size, r.integer(1)})}, to_f32);
  const auto wave = [&](float turns, float amplitude) {
    const ir::ValueId turned = r.emit("Mul", {count, r.real(2 * kPi * turns)});
    const ir::ValueId cosine = r.emit("Cos", {r.emit("Div", {turned, length})});
    return r.emit("Mul", {cosine, r.real(amplitude)});
  };
  ir::ValueId sum = r.emit("Sub", {r.real(a0), wave(1, a1)});
  if (a2 != 0) sum = r.emit("Add", {sum, wave(2, a2)});
  r.replace({r.emit("Cast", {sum}, {{"to", type}})});
  return ok();
}

Status hann(Rewriter& r) { return window(r, 0.5f, 0.5f, 0); }
Status hamming(Rewriter& r) { return window(r, 25.0f / 46.0f, 21.0f / 46.0f, 0); }
Status blackman(Rewriter& r) { return window(r, 0.42f, 0.5f, 0.08f); }

// The loss of classes' logarithms [batch, classes, ...] at `labels` [batch, ...]: minus what stands
// at each label, weighted by class; labels that are `ignore_index` don't count.
Expected<ir::ValueId> loss_at(Rewriter& r, ir::ValueId logs, ir::ValueId labels,
                              ir::ValueId weights) {
  const std::string reduction = r.take<std::string>("reduction").value_or("mean");
  const auto ignored = r.take<std::int64_t>("ignore_index");
  if (reduction != "none" && reduction != "sum" && reduction != "mean")
    return r.refuse("there is no reduction '" + reduction + "'");
  ir::ValueId at = r.emit("Cast", {labels}, {{"to", std::int64_t{7}}}), out;
  if (ignored) {
    out = r.emit("Equal", {at, r.integer(*ignored)});
    at = r.emit("Where", {out, r.integer(0), at});
  }
  const ir::ValueId one = r.integers({1});
  const ir::ValueId picked =
      r.emit("GatherElements", {logs, r.emit("Unsqueeze", {at, one})}, {{"axis", std::int64_t{1}}});
  ir::ValueId loss = r.emit("Neg", {r.emit("Squeeze", {picked, one})});
  ir::ValueId share = weights.valid() ? r.emit("Gather", {weights, at}) : ir::ValueId();
  if (ignored) share = r.emit("Where", {out, r.real(0), share.valid() ? share : r.real(1)});
  if (share.valid()) loss = r.emit("Mul", {loss, share});
  if (reduction == "none") return loss;
  const Attributes flat = {{"keepdims", std::int64_t{0}}};
  if (reduction == "mean" && !share.valid()) return r.emit("ReduceMean", {loss}, flat);
  loss = r.emit("ReduceSum", {loss}, flat);
  if (reduction == "sum") return loss;
  return r.emit("Div", {loss, r.emit("ReduceSum", {share}, flat)});
}

Status log_likelihood(Rewriter& r) {
  if (!r.has(0) || !r.has(1)) return r.refuse("it needs logarithms and labels");
  THIMBLE_ASSIGN(const ir::ValueId loss, loss_at(r, r.input(0), r.input(1), r.input(2)));
  r.replace({loss});
  return ok();
}

Status cross_entropy(Rewriter& r) {
  if (!r.has(0) || !r.has(1)) return r.refuse("it needs scores and labels");
  const ir::ValueId logs = r.emit("LogSoftmax", {r.input(0)}, {{"axis", std::int64_t{1}}});
  THIMBLE_ASSIGN(const ir::ValueId loss, loss_at(r, logs, r.input(1), r.input(2)));
  r.replace({loss, logs});
  return ok();
}

// Before opset 9 all that a Scan reads had a batch axis in front: a Scan over the batch, whose body
// is the Scan over the sequence. Input 0 says lengths, which nothing writes.
Status scan(Rewriter& r) {
  const ir::Node node = r.node();
  const auto* body = node.find("body");
  if (node.inputs.size() < 2 || r.has(0) || body == nullptr)
    return r.refuse("sequences of different lengths are not read");
  if (&r.graph() != &r.model().graph) return r.refuse("inside of a body it is not read");
  const ir::Graph inner_body = r.model().graphs[std::get<ir::GraphId>(*body).index];
  ir::Graph outer;
  outer.name = inner_body.name + "_batch";
  ir::Node inner;
  inner.op = node.op;
  inner.name = node.name;
  inner.attributes = {{"body", *body}, {"num_scan_inputs", node.integer("num_scan_inputs", 1)}};
  if (const auto* directions = node.find("directions"))
    inner.attributes.push_back({"scan_input_directions", *directions});
  for (std::size_t i = 1; i < node.inputs.size(); ++i) {
    const ir::Value& value = r.graph().value(node.inputs[i]);
    inner.inputs.push_back(outer.add_input(value.name, value.dtype, std::nullopt));
  }
  for (const ir::ValueId capture : inner_body.captures()) {
    const ir::Value& value = inner_body.value(capture);
    outer.add_capture(value.name, value.dtype, value.shape);
  }
  std::vector<std::string> names;
  for (const ir::ValueId output : node.outputs)
    names.push_back(output.valid() ? r.graph().value(output).name : "unused");
  const ir::NodeId id = outer.add_node(std::move(inner), names);
  outer.set_outputs(outer.node(id).outputs);
  const auto outer_id = static_cast<std::uint32_t>(r.model().graphs.size());
  r.model().graphs.push_back(std::move(outer));
  for (std::size_t i = 1; i < node.inputs.size(); ++i) r.set_input(i - 1, node.inputs[i]);
  r.drop_inputs_from(node.inputs.size() - 1);
  r.drop_attribute("directions");
  r.set_attribute("body", ir::GraphId{outer_id});
  r.set_attribute("num_scan_inputs", static_cast<std::int64_t>(node.inputs.size() - 1));
  return ok();
}

constexpr std::array kUpgradeFunctions = {
    Adapter{"Scan", 9, scan},
    Adapter{"HannWindow", kAlways, hann},
    Adapter{"HammingWindow", kAlways, hamming},
    Adapter{"BlackmanWindow", kAlways, blackman},
    Adapter{"NegativeLogLikelihoodLoss", kAlways, log_likelihood},
    Adapter{"SoftmaxCrossEntropyLoss", kAlways, cross_entropy},
};

}  // namespace

std::span<const Adapter> function_adapters() { return kUpgradeFunctions; }

}  // namespace thimble::formats::onnx
