#include "formats/onnx/writer_activations.h"

#include <bit>
#include <cmath>
#include <optional>

#include "formats/onnx/writer_streams.h"
#include "ir/integer_forms.h"

namespace thimble::formats::onnx {

std::vector<std::string> WriterNotes::lines() const {
  std::vector<std::string> lines;
  for (const auto& [what, weights] : weights_) {
    const std::string count = std::to_string(weights.size());
    lines.push_back(
        (weights.size() == 1 ? "'" + *weights.begin() + "' is " : count + " weights are ") + what);
  }
  return lines;
}

void FixedActivations::start_graph(ir::Graph& graph) {
  rounded_.clear();
  on_codes_.clear();
  from_codes_.clear();
  for (const ir::NodeId id : graph.order()) {
    if (!graph.alive(id) || !ir::works_on_codes(model_, graph, id)) continue;
    on_codes_.insert(id);
    drop_clip(graph, id);
    from_codes_.insert(ir::scaled_result(graph, graph.node(id)));
  }
}

// Rounding cuts at the ends of the codes: a Clip before it that would cut there, to a step, keeps
// ONNX Runtime from fusing what comes before both (its own quantizer leaves such ones out too).
void FixedActivations::drop_clip(ir::Graph& graph, ir::NodeId id) {
  const ir::ValueId raw = graph.node(id).outputs[0];
  const ir::ValueId cut = ir::scaled_result(graph, graph.node(id));
  if (cut == raw || graph.is_output(cut)) return;
  const ir::NodeId clip = graph.value(cut).producer;
  if (!graph.node(clip).is("Clip")) return;
  const ir::StaticScale s = graph.value(cut).static_scale;
  // Codes 0..255, the zero among them at s.zero + 127.
  const float least = -static_cast<float>(s.zero + 127) * s.scale, most = least + 255 * s.scale;
  const auto limit = [&](std::size_t input, float none) -> std::optional<float> {
    const ir::Node& node = graph.node(clip);
    if (input >= node.inputs.size() || !node.inputs[input].valid()) return none;
    const ir::WeightId weight = graph.value(node.inputs[input]).weight;
    if (!weight.valid()) return std::nullopt;
    const auto values = ir::read_floats(model_.weight(weight));
    return values && values->size() == 1 ? std::optional<float>((*values)[0]) : std::nullopt;
  };
  const std::optional<float> low = limit(1, least), high = limit(2, most);
  if (!low || !high || least < *low - s.scale / 2 || most > *high + 1.5f * s.scale) return;
  graph.value(raw).activation = ir::ActivationScheme::kStatic;
  graph.value(raw).static_scale = s;
  ir::replace_uses(model_, graph, cut, raw);
  graph.erase(clip);
}

void FixedActivations::round_inputs(ir::Graph& graph, ir::NodeId id) {
  const bool on_codes = on_codes_.contains(id);
  for (std::size_t i = 0; i < graph.node(id).inputs.size(); ++i) {
    const ir::ValueId x = graph.node(id).inputs[i];
    if (!x.valid() || !(on_codes || from_codes_.contains(x))) continue;
    graph.set_input(id, i, rounded(graph, x));
  }
  // Which ONNX Runtime has for integers, as opposed to a Sum.
  if (on_codes && graph.node(id).is("Sum")) graph.edit(id, [](ir::Node& node) { node.op = "Add"; });
}

ir::ValueId FixedActivations::rounded(ir::Graph& graph, ir::ValueId x) {
  const ir::Value value = graph.value(x);
  if (value.activation != ir::ActivationScheme::kStatic) return x;
  if (const auto known = rounded_.find(x); known != rounded_.end()) return known->second;
  const std::string& name = value.name;
  const ir::ValueId scale = scale_of(value);
  const auto code = static_cast<std::byte>(value.static_scale.zero + 127);
  const ir::ValueId zero = emit_.constant(
      "zero " + value.name + " " + std::to_string(value.static_scale.zero),
      [&] { return ir::make_dense(value.name + "_zero_point", ir::DType::kU8, {}, {code}); });
  const ir::ValueId q = emit_.node("QuantizeLinear", {x, scale, zero}, {}, name + "_quantized");
  graph.value(q).dtype = ir::DType::kU8;
  return rounded_[x] = emit_.node("DequantizeLinear", {q, scale, zero}, {}, name + "_dequantized");
}

ir::ValueId FixedActivations::scale_of(const ir::Value& value) {
  const auto bits = std::bit_cast<std::uint32_t>(value.static_scale.scale);
  return emit_.constant("scale " + value.name + " " + std::to_string(bits), [&] {
    return ir::make_dense(value.name + "_scale", {}, std::vector<float>{value.static_scale.scale});
  });
}

Expected<ir::ValueId> FixedActivations::bias(ir::Graph& graph, ir::ValueId x, ir::WeightId weight,
                                             ir::ValueId bias) {
  if (!bias.valid() || !graph.value(bias).weight.valid()) return bias;
  const ir::Weight w = model_.weight(weight), b = model_.weight(graph.value(bias).weight);
  if (w.encoding.groups(w.inputs()) != 1 || !b.encoding.is_dense() ||
      (b.dims != std::vector{w.rows()} && b.dims != std::vector<std::int64_t>{1, w.rows()}))
    return bias;
  THIMBLE_ASSIGN(std::vector<float> scales, ir::read_floats(group_scales(w, Order::kRows)));
  THIMBLE_ASSIGN(const std::vector<float> values, ir::read_floats(b));
  std::vector<std::byte> codes;
  for (std::size_t i = 0; i < scales.size(); ++i) {
    scales[i] *= graph.value(x).static_scale.scale;
    const double units =
        std::nearbyint(static_cast<double>(values[i]) / static_cast<double>(scales[i]));
    if (!(std::fabs(units) < 2147483647.0)) {
      notes_.add(b, "left in f32: as a bias in i32 it would overflow");
      return bias;
    }
    const auto code = static_cast<std::uint32_t>(static_cast<std::int32_t>(units));
    for (int byte = 0; byte < 4; ++byte)
      codes.push_back(static_cast<std::byte>(code >> (8 * byte)));
  }
  const std::string form = "bias " + graph.value(x).name + " " + graph.value(bias).name;
  const ir::ValueId integers = emit_.constant(key_of(weight, form), [&] {
    ir::Weight made = b;
    made.dtype = ir::DType::kI32;
    made.source = ir::owned_dense(std::move(codes), 4 * scales.size());
    return made;
  });
  emit_.name_later(integers, b.name);
  const ir::ValueId unit = emit_.constant(key_of(weight, form + " scales"), [&] {
    return ir::make_dense(b.name + "_scales", {w.rows()}, scales);
  });
  return emit_.node("DequantizeLinear", {integers, unit},
                    {{"axis", static_cast<std::int64_t>(b.dims.size()) - 1}},
                    b.name + "_dequantized");
}

}  // namespace thimble::formats::onnx
