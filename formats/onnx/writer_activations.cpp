#include "formats/onnx/writer_activations.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "formats/onnx/writer_streams.h"
#include "ir/match.h"

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

ir::ValueId FixedActivations::rounded(ir::Graph& graph, ir::ValueId x) {
  const ir::Value value = graph.value(x);
  if (value.activation != ir::ActivationScheme::kStatic) return x;
  if (const auto known = rounded_.find(x); known != rounded_.end()) return known->second;
  round_parts(graph, x);
  return rounded_[x] = round_to(graph, x, value);
}

// A Concat whose result goes into quantized operators only: its parts are rounded alike before
// it, which leaves the result as it is, and lets what comes before write integers.
void FixedActivations::round_parts(ir::Graph& graph, ir::ValueId x) {
  const ir::Value value = graph.value(x);
  if (!value.producer.valid() || !graph.node(value.producer).is("Concat")) return;
  const std::vector<ir::NodeId> users = graph.users(x);
  const bool only = std::all_of(users.begin(), users.end(), [&](ir::NodeId user) {
    const auto conv = ir::match_convolution(model_, graph, user);
    return conv && is_encoded(model_, graph, conv->weight_value);
  });
  if (!only || graph.is_output(x) || ir::is_captured(model_, graph, x)) return;
  const ir::NodeId here = emit_.place();
  emit_.move_to(graph, value.producer, graph.node(value.producer).name);
  for (std::size_t i = 0; i < graph.node(value.producer).inputs.size(); ++i) {
    const ir::ValueId part = round_to(graph, graph.node(value.producer).inputs[i], value);
    graph.node(value.producer).inputs[i] = part;
  }
  emit_.move_to(graph, here, graph.node(here).name);
}

// x to the codes of a value's fixed scale, and back.
ir::ValueId FixedActivations::round_to(ir::Graph& graph, ir::ValueId x, const ir::Value& value) {
  const std::string name = graph.value(x).name;
  const ir::ValueId scale = scale_of(value);
  const auto code = static_cast<std::byte>(value.static_scale.zero + 127);
  const ir::ValueId zero =
      emit_.constant("zero " + value.name + " " + std::to_string(value.static_scale.zero), [&] {
        ir::Weight w = ir::make_dense(value.name + "_zero_point", {}, std::vector<float>{0});
        w.dtype = ir::DType::kU8;
        w.source = ir::owned_dense({code}, 1);
        return w;
      });
  const ir::ValueId q = emit_.node("QuantizeLinear", {x, scale, zero}, {}, name + "_quantized");
  graph.value(q).dtype = ir::DType::kU8;
  return emit_.node("DequantizeLinear", {q, scale, zero}, {}, name + "_dequantized");
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
  THIMBLE_ASSIGN(std::vector<float> scales, ir::read_floats(group_scales(w, false)));
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
  names_[integers] = b.name;
  const ir::ValueId unit = emit_.constant(key_of(weight, form + " scales"), [&] {
    return ir::make_dense(b.name + "_scales", {w.rows()}, scales);
  });
  return emit_.node("DequantizeLinear", {integers, unit},
                    {{"axis", static_cast<std::int64_t>(b.dims.size()) - 1}},
                    b.name + "_dequantized");
}

}  // namespace thimble::formats::onnx
