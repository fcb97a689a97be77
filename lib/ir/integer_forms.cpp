#include "ir/integer_forms.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "ir/match.h"

namespace thimble::ir {
namespace {

struct Form {
  std::string_view op;
  IntegerForm form;
};

// What ONNX Runtime has 8-bit kernels for (onnxruntime/core/optimizer/qdq_transformer).
constexpr std::array kForms = {
    Form{"Conv", IntegerForm::kConvolution},
    Form{"Add", IntegerForm::kArithmetic},
    Form{"Sum", IntegerForm::kArithmetic},
    Form{"Mul", IntegerForm::kArithmetic},
    Form{"AveragePool", IntegerForm::kPool},
    Form{"GlobalAveragePool", IntegerForm::kPool},
    Form{"LeakyRelu", IntegerForm::kArithmetic},
    Form{"Sigmoid", IntegerForm::kArithmetic},
    Form{"MaxPool", IntegerForm::kMovement},
    Form{"Reshape", IntegerForm::kMovement},
    Form{"Flatten", IntegerForm::kMovement},
    Form{"Transpose", IntegerForm::kMovement},
    Form{"Squeeze", IntegerForm::kMovement},
    Form{"Unsqueeze", IntegerForm::kMovement},
    Form{"Concat", IntegerForm::kJoin},
    Form{"Relu", IntegerForm::kCut},
    Form{"Clip", IntegerForm::kCut},
};

}  // namespace

IntegerForm integer_form(const Node& node) {
  if (!node.domain.empty() || node.outputs.empty()) return IntegerForm::kNone;
  // A second result is one of integers: where a MaxPool found its values.
  const bool one = std::count_if(node.outputs.begin(), node.outputs.end(),
                                 [](ValueId v) { return v.valid(); }) == 1;
  const auto* const found = std::find_if(kForms.begin(), kForms.end(),
                                         [&](const Form& form) { return form.op == node.op; });
  if (!one || !node.outputs[0].valid() || found == kForms.end()) return IntegerForm::kNone;
  // Sums of more than two values are computed in floats.
  if (node.op == "Sum" && node.inputs.size() != 2) return IntegerForm::kNone;
  return found->form;
}

std::vector<ValueId> scaled_inputs(const Node& node) {
  const IntegerForm form = integer_form(node);
  if (form == IntegerForm::kNone || node.inputs.empty()) return {};
  const bool all = form == IntegerForm::kJoin || form == IntegerForm::kArithmetic;
  if (all) return node.inputs;
  return {node.inputs[0]};
}

ValueId scaled_result(const Graph& graph, const Node& node) {
  if (node.outputs.empty()) return {};
  const ValueId result = node.outputs[0];
  if (!result.valid() || graph.is_output(result)) return result;
  const std::vector<NodeId> users = graph.users(result);
  if (users.size() != 1) return result;
  const Node& user = graph.node(users[0]);
  return integer_form(user) == IntegerForm::kCut && user.inputs[0] == result ? user.outputs[0]
                                                                             : result;
}

bool works_on_codes(const Model& model, const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  const IntegerForm form = integer_form(node);
  if (form == IntegerForm::kNone || form == IntegerForm::kCut) return false;
  if (form == IntegerForm::kConvolution) {
    const auto conv = match_convolution(model, graph, id);
    if (!conv || model.weight(conv->weight).encoding.is_dense()) return false;
  }
  std::vector<ValueId> values = scaled_inputs(node);
  values.push_back(scaled_result(graph, node));
  return std::all_of(values.begin(), values.end(), [&](ValueId value) {
    return value.valid() && graph.value(value).activation == ActivationScheme::kStatic;
  });
}

bool is_from_codes(const Model& model, const Graph& graph, ValueId value) {
  NodeId id = graph.value(value).producer;
  if (!id.valid()) return false;
  if (integer_form(graph.node(id)) == IntegerForm::kCut) {
    const ValueId raw = graph.node(id).inputs[0];
    if (!raw.valid() || !graph.value(raw).producer.valid()) return false;
    id = graph.value(raw).producer;
  }
  return scaled_result(graph, graph.node(id)) == value && works_on_codes(model, graph, id);
}

}  // namespace thimble::ir
