#include "formats/onnx/quantized.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "formats/onnx/quantized_weight.h"
#include "formats/onnx/rewriter.h"
#include "formats/onnx/unread.h"
#include "ir/decode.h"
#include "ir/integer_forms.h"
#include "ir/match.h"

namespace thimble::formats::onnx {
namespace {

bool is_byte_type(ir::DType type) { return type == ir::DType::kI8 || type == ir::DType::kU8; }

class Recognizer {
 public:
  explicit Recognizer(ir::Model& model) : model_(model), graph_(model.graph), before_(model) {}

  Status run() {
    for (const ir::NodeId id : graph_.order()) widen_zeros(id);
    bool spelled = false;
    for (const ir::NodeId id : graph_.order()) {
      const bool conv = graph_.node(id).is("QLinearConv");
      if (!conv && !graph_.node(id).is("QLinearMatMul")) continue;
      THIMBLE_TRY(spell_out(id, conv ? "Conv" : "MatMul"));
      spelled = true;
    }
    for (const ir::NodeId id : graph_.order()) spelled = move_floats(id) || spelled;
    if (spelled) THIMBLE_TRY(ir::infer_shapes(model_));
    for (const ir::NodeId id : graph_.order()) {
      if (graph_.alive(id) && graph_.node(id).is("DequantizeLinear"))
        THIMBLE_TRY(take_constant(id));
    }
    for (const ir::NodeId id : graph_.order()) {
      if (graph_.alive(id) && graph_.node(id).is("DequantizeLinear")) take_pair(id);
    }
    while (give_back_pairs()) {
    }
    erase_unread();
    return ok();
  }

 private:
  const ir::Weight* constant(ir::ValueId value) const {
    if (!value.valid() || !graph_.value(value).weight.valid()) return nullptr;
    const ir::Weight& weight = model_.weight(graph_.value(value).weight);
    return weight.encoding.is_dense() && weight.source != nullptr ? &weight : nullptr;
  }
  ir::ValueId input(const ir::Node& node, std::size_t i) const {
    return i < node.inputs.size() ? node.inputs[i] : ir::ValueId();
  }
  const ir::Node* producer(ir::ValueId value, std::string_view op) const {
    if (!value.valid() || !graph_.value(value).producer.valid()) return nullptr;
    const ir::Node& node = graph_.node(graph_.value(value).producer);
    return node.is(op) ? &node : nullptr;
  }
  void replace(ir::ValueId from, ir::ValueId to) { ir::replace_uses(model_, graph_, from, to); }
  ir::ValueId new_constant(ir::Weight weight) {
    return ir::add_constant(model_, graph_, std::move(weight));
  }

  std::optional<CodedParts> parts_of(ir::ValueId codes, ir::ValueId scales, ir::ValueId zeros,
                                     std::int64_t axis) const {
    const ir::Weight *c = constant(codes), *s = constant(scales), *z = constant(zeros);
    if (c == nullptr || s == nullptr || (zeros.valid() && z == nullptr)) return std::nullopt;
    if (s->dims.size() > 1) return std::nullopt;  // blocks
    const auto rank = static_cast<std::int64_t>(c->dims.size());
    if (s->element_count() == 1) axis = 0;  // a vector's bias has the default, 1, too
    if (axis < -rank || axis >= std::max<std::int64_t>(rank, 1)) return std::nullopt;
    CodedParts parts{*c, *s, {}, static_cast<std::size_t>(axis < 0 ? axis + rank : axis)};
    if (z != nullptr) parts.zeros = *z;
    return parts;
  }

  // Zero points in the type of their codes, which was widened where its rows don't fill whole
  // bytes.
  void widen_zeros(ir::NodeId id) {
    if (!graph_.node(id).is("DequantizeLinear")) return;
    const ir::Weight *codes = constant(input(graph_.node(id), 0)),
                     *zeros = constant(input(graph_.node(id), 2));
    if (codes == nullptr || zeros == nullptr || !is_byte_type(codes->dtype) ||
        ir::dtype_bits(zeros->dtype) >= 8)
      return;
    const auto packed = zeros->source->read(0, zeros->rows());
    if (!packed) return;
    std::vector<std::byte> bytes(static_cast<std::size_t>(zeros->element_count()));
    ir::unpack_narrow(zeros->dtype, packed->dense, bytes);
    const ir::ValueId wide = new_constant(
        ir::make_dense(zeros->name + "_bytes", codes->dtype, zeros->dims, std::move(bytes)));
    graph_.set_input(id, 2, wide);
  }

  // (x, scale, zero, w, scale, zero, y's scale, zero, [bias]) as the float operator between
  // DequantizeLinear and QuantizeLinear; where all but x is constant.
  Status spell_out(ir::NodeId id, std::string_view op) {
    const ir::Node& node = graph_.node(id);
    const std::int64_t axis = op == "Conv" ? 0 : 1;
    for (const std::size_t i : {1, 2, 3, 4, 5, 6, 7}) {
      if (constant(input(node, i)) == nullptr) return ok();
    }
    const ir::ValueId bias = input(node, 8);
    if (bias.valid() && constant(bias) == nullptr) return ok();
    Rewriter r(model_, graph_, id, 23);
    Attributes attributes = node.attributes;
    const ir::ValueId x = r.emit("DequantizeLinear", {r.input(0), r.input(1), r.input(2)});
    const ir::ValueId w = r.emit("DequantizeLinear", {r.input(3), r.input(4), r.input(5)},
                                 {{"axis", std::int64_t{axis}}});
    Inputs inputs = {x, w};
    if (bias.valid()) {
      THIMBLE_ASSIGN(const ir::ValueId floats,
                     bias_floats(bias, *constant(r.input(1)), *constant(r.input(4))));
      inputs.push_back(floats);
    }
    const ir::ValueId y = r.emit(op, inputs, std::move(attributes));
    r.replace({r.emit("QuantizeLinear", {y, r.input(6), r.input(7)})});
    return ok();
  }

  // What moves codes between QuantizeLinear and DequantizeLinear moves floats as well.
  bool move_floats(ir::NodeId id) {
    if (ir::integer_form(graph_.node(id)) != ir::IntegerForm::kMovement) return false;
    const ir::Node* q = producer(input(graph_.node(id), 0), "QuantizeLinear");
    if (q == nullptr || !scale_of(*q)) return false;
    const ir::ValueId scale = q->inputs[1], zero = q->inputs[2];
    Rewriter r(model_, graph_, id, 23);
    Inputs inputs = r.node().inputs;
    inputs[0] = r.emit("DequantizeLinear", {inputs[0], scale, zero});
    const Attributes attributes = r.node().attributes;
    const std::string op = r.node().op;
    r.replace({r.emit("QuantizeLinear", {r.emit(op, inputs, attributes), scale, zero})});
    return true;
  }

  Expected<ir::ValueId> bias_floats(ir::ValueId bias, const ir::Weight& x_scale,
                                    const ir::Weight& w_scale) {
    THIMBLE_ASSIGN(std::vector<float> values, ir::read_floats(*constant(bias)));
    THIMBLE_ASSIGN(const std::vector<float> x, ir::read_floats(x_scale));
    THIMBLE_ASSIGN(const std::vector<float> w, ir::read_floats(w_scale));
    if (x.empty() || (w.size() != 1 && w.size() != values.size()))
      return invalid_file("a bias has no scale").at_tensor(graph_.value(bias).name);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] *= x[0] * w[w.size() == 1 ? 0 : i];
    return new_constant(ir::make_dense(graph_.value(bias).name + "_floats",
                                       {static_cast<std::int64_t>(values.size())}, values));
  }

  // A constant on its way through DequantizeLinear.
  Status take_constant(ir::NodeId id) {
    const ir::Node node = graph_.node(id);
    const ir::Weight* codes = constant(input(node, 0));
    if (codes == nullptr || node.outputs.empty() || graph_.is_output(node.outputs[0])) return ok();
    const auto parts =
        parts_of(input(node, 0), input(node, 1), input(node, 2), node.integer("axis", 1));
    if (!parts) return ok();
    if (codes->dtype == ir::DType::kI32) return take_bias(node, *parts);
    if (!is_byte_type(codes->dtype)) return ok();
    std::map<std::string, ir::ValueId> made;  // by form
    for (const ir::NodeId user : graph_.users(node.outputs[0])) {
      const ir::Node& reads = graph_.node(user);
      if (reads.inputs.size() < 2 || !(reads.inputs[1] == node.outputs[0]) ||
          reads.inputs[0] == node.outputs[0])
        continue;
      const bool gemm = reads.is("Gemm"), conv = reads.is("Conv");
      if (!gemm && !conv && !reads.is("MatMul")) continue;
      if (gemm && (reads.integer("transA", 0) != 0 || reads.real("alpha", 1) != 1 ||
                   reads.real("beta", 1) != 1))
        continue;
      const int inputs_axis = gemm && reads.integer("transB", 0) != 0 ? 1 : 0;
      const std::string form = conv ? "conv" : std::to_string(inputs_axis);
      if (!made.contains(form)) {
        std::optional<ir::Weight> weight =
            conv ? coded_convolution_weight(*parts) : coded_product_weight(*parts, inputs_axis);
        if (!weight) continue;
        made[form] = new_constant(std::move(*weight));
      }
      graph_.set_input(user, 1, made[form]);
    }
    return ok();
  }

  Status take_bias(const ir::Node& node, const CodedParts& parts) {
    constexpr std::int64_t kMost = 1 << 20;
    if (parts.codes.element_count() > kMost || parts.codes.dims.size() > 1) return ok();
    if (parts.zeros) {
      THIMBLE_ASSIGN(const std::vector<std::int64_t> zeros, ir::read_integers(*parts.zeros));
      if (std::any_of(zeros.begin(), zeros.end(), [](std::int64_t z) { return z != 0; }))
        return ok();
    }
    THIMBLE_ASSIGN(std::vector<float> values, ir::read_floats(parts.codes));
    THIMBLE_ASSIGN(const std::vector<float> scales, ir::read_floats(parts.scales));
    if (scales.size() != 1 && scales.size() != values.size()) return ok();
    for (std::size_t i = 0; i < values.size(); ++i) values[i] *= scales[scales.size() == 1 ? 0 : i];
    replace(node.outputs[0],
            new_constant(ir::make_dense(parts.codes.name + "_floats", parts.codes.dims, values)));
    return ok();
  }

  // x -> QuantizeLinear -> DequantizeLinear with one scale of both.
  void take_pair(ir::NodeId id) {
    const ir::Node node = graph_.node(id);
    const ir::Node* q = producer(input(node, 0), "QuantizeLinear");
    if (q == nullptr || graph_.is_output(node.outputs[0])) return;
    const ir::ValueId x = q->inputs[0];
    const auto scale = scale_of(node), same = scale_of(*q);
    const ir::Value& value = graph_.value(x);
    if (!scale || !same || !(*scale == *same) || value.weight.valid() ||
        value.dtype != ir::DType::kF32 || ir::is_captured(model_, graph_, node.outputs[0]))
      return;
    const bool known = value.activation == ir::ActivationScheme::kStatic;
    if ((known && !(value.static_scale == *scale)) ||
        !(known || gives_codes(x) || computes_on_codes(node.outputs[0])))
      return;
    graph_.value(x).activation = ir::ActivationScheme::kStatic;
    graph_.value(x).static_scale = *scale;
    std::vector<ir::NodeId>& readers = pairs_[x][node.outputs[0]];
    readers = graph_.users(node.outputs[0]);
    for (const ir::NodeId reader : readers) graph_.replace_inputs(reader, node.outputs[0], x);
  }

  // Whether a reader works on codes depends on its other values too. Where one would read floats
  // that nothing rounds, the pair is put back, which may concern others. Was there any?
  bool give_back_pairs() {
    bool any = false;
    for (auto pair = pairs_.begin(); pair != pairs_.end();) {
      const auto& [x, by_output] = *pair;
      const bool kept = std::all_of(by_output.begin(), by_output.end(), [&](const auto& taken) {
        return std::all_of(
            taken.second.begin(), taken.second.end(),
            [this, value = pair->first](ir::NodeId reader) { return rounds(reader, value); });
      });
      if (kept) {
        ++pair;
        continue;
      }
      for (const auto& taken : by_output) {
        for (const ir::NodeId reader : taken.second) graph_.replace_inputs(reader, x, taken.first);
      }
      graph_.value(x).activation = ir::ActivationScheme::kFloat;
      graph_.value(x).static_scale = {};
      pair = pairs_.erase(pair);
      any = true;
    }
    return any;
  }

  // Does the reader see x as its scale has it?
  bool rounds(ir::NodeId reader, ir::ValueId x) const {
    const auto encoded = [&](ir::WeightId id) { return !model_.weight(id).encoding.is_dense(); };
    if (const auto linear = ir::match_linear(model_, reader); linear && linear->input == x)
      return encoded(linear->weight);
    if (const auto conv = ir::match_convolution(model_, reader); conv && conv->input == x)
      return encoded(conv->weight);
    return ir::works_on_codes(model_, graph_, reader) || ir::is_from_codes(model_, graph_, x);
  }

  // Of u8 codes less 127.
  std::optional<ir::StaticScale> scale_of(const ir::Node& node) const {
    const ir::Weight *scale = constant(input(node, 1)), *zero = constant(input(node, 2));
    if (scale == nullptr || scale->element_count() != 1 || scale->dtype != ir::DType::kF32)
      return std::nullopt;
    if (zero == nullptr || zero->element_count() != 1 || !is_byte_type(zero->dtype))
      return std::nullopt;
    const auto scales = ir::read_floats(*scale);
    const auto zeros = ir::read_integers(*zero);
    if (!scales || !zeros || !((*scales)[0] > 0) || !std::isfinite((*scales)[0]))
      return std::nullopt;
    const std::int64_t moved = (*zeros)[0] + (zero->dtype == ir::DType::kI8 ? 128 : 0) - 127;
    if (moved < -127 || moved > 127) return std::nullopt;
    return ir::StaticScale{(*scales)[0], static_cast<std::int32_t>(moved)};
  }

  // Does an operator that reads fixed scales compute it, by itself or with a Relu or Clip behind?
  // Its result is rounded wherever it goes then.
  bool gives_codes(ir::ValueId value) const {
    ir::NodeId id = graph_.value(value).producer;
    if (!id.valid()) return false;
    if (ir::integer_form(graph_.node(id)) == ir::IntegerForm::kCut)
      id = graph_.value(graph_.node(id).inputs[0]).producer;
    if (!id.valid() || !(ir::scaled_result(graph_, graph_.node(id)) == value)) return false;
    const ir::Node& node = graph_.node(id);
    if (ir::integer_form(node) == ir::IntegerForm::kConvolution) {
      const auto conv = ir::match_convolution(model_, id);
      if (!conv || model_.weight(conv->weight).encoding.is_dense()) return false;
    }
    const std::vector<ir::ValueId> inputs = ir::scaled_inputs(node);
    return !inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [&](ir::ValueId input) {
      return input.valid() && graph_.value(input).activation == ir::ActivationScheme::kStatic;
    });
  }

  // Are all readers operators that have a form for codes, or products with quantized weights?
  bool computes_on_codes(ir::ValueId value) const {
    const std::vector<ir::NodeId> users = graph_.users(value);
    return std::all_of(users.begin(), users.end(), [&](ir::NodeId user) {
      if (const auto linear = ir::match_linear(model_, user))
        return linear->input == value && !model_.weight(linear->weight).encoding.is_dense();
      return ir::integer_form(graph_.node(user)) != ir::IntegerForm::kNone;
    });
  }

  // What the steps before left without readers.
  void erase_unread() {
    std::vector<ir::NodeId> order = graph_.order();
    for (auto id = order.rbegin(); id != order.rend(); ++id) {
      const ir::Node& node = graph_.node(*id);
      const bool ours = node.is("QuantizeLinear") || node.is("DequantizeLinear");
      if (ours && is_unread(model_, graph_, *id)) graph_.erase(*id);
    }
    before_.drop_unread(model_);
  }

  ir::Model& model_;
  ir::Graph& graph_;
  HeldWeights before_;
  // Values between QuantizeLinear and DequantizeLinear that got a scale instead: what the latter
  // gave, and who read that.
  std::map<ir::ValueId, std::map<ir::ValueId, std::vector<ir::NodeId>>> pairs_;
};

bool has_quantized(const ir::Graph& graph) {
  const std::vector<ir::NodeId> order = graph.order();
  return std::any_of(order.begin(), order.end(), [&](ir::NodeId id) {
    const ir::Node& node = graph.node(id);
    return node.is("QuantizeLinear") || node.is("DequantizeLinear") || node.is("QLinearConv") ||
           node.is("QLinearMatMul");
  });
}

}  // namespace

Status recognize_quantized(ir::Model& model) {
  return has_quantized(model.graph) ? Recognizer(model).run() : ok();
}

}  // namespace thimble::formats::onnx
