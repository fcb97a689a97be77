// fuse-activations: products that spell out an activation become it: Gelu (erf and tanh), Swish,
// HardSwish, Mish. Matched as x * f(x) on the graph's products and sums in normal form
// (ir/algebra.h), so the order of factors and the place of constants don't matter.

#include <cmath>

#include "ir/algebra.h"
#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::Product;
using ir::ValueId;

struct Activation {
  std::string op;
  ValueId input;
  std::vector<ir::Attribute> attributes;
};

class Matcher {
 public:
  Matcher(const ir::Model& model, const ir::Graph& graph) : algebra_(model, graph) {}

  // What y = coefficient * x * f(x) is, if it is an activation.
  std::optional<Activation> match(ValueId y) const {
    const Product whole = algebra_.product(y);
    if (whole.factors.size() < 2 || whole.factors.size() > 8) return std::nullopt;
    for (const auto& [value, exponent] : whole.factors) {
      if (exponent != 1) continue;
      Product gate;
      gate.factors = {{value, 1}};
      const auto rest = whole.without(gate);
      if (!rest) continue;
      if (auto found = gated(*rest, value)) return found;
    }
    return std::nullopt;
  }

 private:
  // `rest` times the value `gate`.
  std::optional<Activation> gated(const Product& rest, ValueId gate) const {
    if (const ir::Node* sigmoid = algebra_.made_by(gate, "Sigmoid"))
      return swish(rest, sigmoid->inputs[0]);
    if (const ir::Node* hard = algebra_.made_by(gate, "HardSigmoid")) {
      const bool standard = ir::nearly(hard->real("alpha", 0.2f), 1.0 / 6) &&
                            ir::nearly(hard->real("beta", 0.5f), 0.5);
      return standard ? plain("HardSwish", rest, 1, hard->inputs[0]) : std::nullopt;
    }
    if (const ir::Node* clip = algebra_.made_by(gate, "Clip")) return hard_swish(rest, *clip);
    if (const ir::Node* tanh = algebra_.made_by(gate, "Tanh")) {
      const ir::Node* softplus = algebra_.made_by(tanh->inputs[0], "Softplus");
      return softplus != nullptr ? plain("Mish", rest, 1, softplus->inputs[0]) : std::nullopt;
    }
    return gelu(rest, gate);
  }

  // op(x) when rest = coefficient * x.
  std::optional<Activation> plain(std::string op, const Product& rest, double coefficient,
                                  ValueId x) const {
    const auto left = rest.without(algebra_.product(x));
    if (!left || !left->factors.empty() || !ir::nearly(left->coefficient, coefficient))
      return std::nullopt;
    return Activation{std::move(op), x, {}};
  }

  // x * sigmoid(alpha * x)
  std::optional<Activation> swish(const Product& rest, ValueId u) const {
    if (auto silu = plain("Swish", rest, 1, u)) return silu;
    const Product inside = algebra_.product(u);
    const auto x = inside.single();
    if (!x) return std::nullopt;
    auto found = plain("Swish", rest, 1, *x);
    if (found) found->attributes = {{"alpha", static_cast<float>(inside.coefficient)}};
    return found;
  }

  // x * clip(x + 3, 0, 6) / 6
  std::optional<Activation> hard_swish(const Product& rest, const ir::Node& clip) const {
    if (clip.inputs.size() != 3 || algebra_.number(clip.inputs[1]) != 0.0 ||
        algebra_.number(clip.inputs[2]) != 6.0)
      return std::nullopt;
    const ir::Node* sum = algebra_.made_by(clip.inputs[0], "Add");
    if (sum == nullptr) return std::nullopt;
    for (int side = 0; side < 2; ++side) {
      if (algebra_.number(sum->inputs[static_cast<std::size_t>(1 - side)]) == 3.0)
        return plain("HardSwish", rest, 1.0 / 6, sum->inputs[static_cast<std::size_t>(side)]);
    }
    return std::nullopt;
  }

  // rest * k (1 + f(u)), where rest * k = x / 2: the erf form has u = x / sqrt(2), the tanh form
  // u = sqrt(2 / pi) (x + 0.044715 x^3). Hendrycks and Gimpel, arXiv 1606.08415.
  std::optional<Activation> gelu(const Product& rest, ValueId gate) const {
    const ir::Sum sum = algebra_.sum(gate);
    if (sum.terms.size() != 1 || !ir::nearly(sum.terms[0].second, sum.constant))
      return std::nullopt;
    const double half = 0.5 / sum.constant;
    if (const ir::Node* erf = algebra_.made_by(sum.terms[0].first, "Erf")) {
      const auto x = scaled(erf->inputs[0], std::sqrt(0.5));
      return x ? plain("Gelu", rest, half, *x) : std::nullopt;
    }
    const ir::Node* tanh = algebra_.made_by(sum.terms[0].first, "Tanh");
    const auto x = tanh != nullptr ? tanh_argument(tanh->inputs[0]) : std::nullopt;
    auto found = x ? plain("Gelu", rest, half, *x) : std::nullopt;
    if (found) found->attributes = {{"approximate", std::string("tanh")}};
    return found;
  }

  // x when u = factor * x.
  std::optional<ValueId> scaled(ValueId u, double factor) const {
    const Product parts = algebra_.product(u);
    if (!ir::nearly(parts.coefficient, factor)) return std::nullopt;
    if (const auto x = parts.single()) return x;
    const ir::Node* node = algebra_.producer(u);  // x is itself a product: one side is the number
    for (const ValueId side : node->inputs) {
      if (!algebra_.number(side) && ir::nearly(algebra_.product(side).coefficient, 1)) return side;
    }
    return std::nullopt;
  }

  std::optional<ValueId> tanh_argument(ValueId u) const {
    const double outer = std::sqrt(2 / 3.14159265358979323846), cubic = 0.044715;
    const Product whole = algebra_.product(u);
    if (whole.factors.size() == 2) {  // outer * x * (1 + cubic * x^2)
      for (int side = 0; side < 2; ++side) {
        const ValueId x = whole.factors[static_cast<std::size_t>(side)].first;
        const ir::Sum sum = algebra_.sum(whole.factors[static_cast<std::size_t>(1 - side)].first);
        if (sum.terms.size() != 1 || !ir::nearly(sum.constant, 1)) continue;
        if (power(sum.terms[0], x, 2, cubic) && ir::nearly(whole.coefficient, outer)) return x;
      }
    }
    const ir::Sum sum = algebra_.sum(u);  // outer * x + outer * cubic * x^3
    if (sum.terms.size() != 2 || sum.constant != 0) return std::nullopt;
    for (int side = 0; side < 2; ++side) {
      const auto& [x, weight] = sum.terms[static_cast<std::size_t>(side)];
      if (ir::nearly(weight, outer) &&
          power(sum.terms[static_cast<std::size_t>(1 - side)], x, 3, outer * cubic))
        return x;
    }
    return std::nullopt;
  }

  // Is the term weight * value = wanted * x^exponent?
  bool power(const std::pair<ValueId, double>& term, ValueId x, int exponent, double wanted) const {
    const Product parts = algebra_.product(term.first);
    return parts.factors.size() == 1 && parts.factors[0].first == x &&
           parts.factors[0].second == exponent &&
           ir::nearly(term.second * parts.coefficient, wanted);
  }

  ir::Algebra algebra_;
};

Expected<std::int64_t> fuse(ir::Model& model, ir::Graph& graph) {
  std::int64_t fused = 0;
  const std::vector<ir::NodeId> order = graph.order();
  for (auto id = order.rbegin(); id != order.rend(); ++id) {
    const ir::Node node = graph.node(*id);
    if ((!node.is("Mul") && !node.is("Div")) || !is_used(model, graph, node)) continue;
    const auto found = Matcher(model, graph).match(node.outputs[0]);
    if (!found || !same_kind(graph, found->input, node.outputs[0])) continue;
    replace_node(model, graph, *id, found->op, {found->input}, found->attributes);
    ++fused;
  }
  return fused;
}

}  // namespace

pass::Registration fuse_activations() {
  return rewrite("fuse-activations",
                 "Turn spelled-out activations into Gelu, Swish, HardSwish, Mish", fuse);
}

}  // namespace thimble::passes
