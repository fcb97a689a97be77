// fuse-norms: (x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis becomes
// LayerNormalization, x / sqrt(mean square + epsilon) * scale RMSNormalization, in whatever order
// an exporter wrote them.

#include "ir/algebra.h"
#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::ValueId;

struct Norm {
  bool centred = false;  // LayerNormalization; else RMSNormalization
  ValueId x;
  ValueId scale;  // [width]; invalid: none
  float epsilon = 0;
};

class Matcher {
 public:
  Matcher(const ir::Model& model, const ir::Graph& graph)
      : model_(model), graph_(graph), algebra_(model, graph) {}

  std::optional<Norm> match(ValueId y) const {
    const ir::Product whole = algebra_.product(y);
    for (const auto& [value, exponent] : whole.factors) {
      const auto root = root_of(value, exponent);
      if (!root) continue;
      ir::Product numerator = whole;
      std::erase_if(numerator.factors,
                    [&divisor = value](const auto& f) { return f.first == divisor; });
      if (auto norm = over(numerator, *root)) return norm;
    }
    return std::nullopt;
  }

  // The constant [width] that an Add puts on the result of `norm`.
  std::optional<ValueId> bias(const ir::Node& add, ValueId norm) const {
    if (!add.is("Add")) return std::nullopt;
    const ValueId other = add.inputs[0] == norm ? add.inputs[1] : add.inputs[0];
    return is_vector(other, norm) ? std::optional(other) : std::nullopt;
  }

 private:
  // v when value^exponent is v^-1/2.
  std::optional<ValueId> root_of(ValueId value, int exponent) const {
    if (const ir::Node* root = algebra_.made_by(value, "Sqrt"); root != nullptr && exponent == -1)
      return root->inputs[0];
    const ir::Node* power = algebra_.made_by(value, "Pow");
    if (power == nullptr) return std::nullopt;
    const auto by = algebra_.number(power->inputs[1]);
    const bool root = by && *by * exponent == -0.5;
    return root ? std::optional(power->inputs[0]) : std::nullopt;
  }

  // numerator / sqrt(v)
  std::optional<Norm> over(const ir::Product& numerator, ValueId v) const {
    const ir::Sum sum = algebra_.sum(v);
    if (sum.terms.size() != 1 || sum.terms[0].second != 1 || sum.constant <= 0) return std::nullopt;
    const ir::Node* mean = algebra_.made_by(sum.terms[0].first, "ReduceMean");
    if (mean == nullptr || !over_last(*mean)) return std::nullopt;
    const auto squared = square_of(mean->inputs[0]);
    if (!squared) return std::nullopt;
    Norm norm{false, *squared, {}, static_cast<float>(sum.constant)};
    if (const auto centred = centred_of(*squared)) {
      norm.centred = true;
      norm.x = *centred;
    }
    ir::Product base = norm.centred ? ir::Product{1, {{*squared, 1}}} : algebra_.product(*squared);
    const auto rest = numerator.without(base);
    if (!rest || rest->coefficient != 1 || rest->factors.size() > 1) return std::nullopt;
    if (rest->factors.empty()) return norm;
    const auto scale = rest->single();
    if (!scale || !is_vector(*scale, norm.x)) return std::nullopt;
    norm.scale = *scale;
    return norm;
  }

  // d when value is d^2.
  std::optional<ValueId> square_of(ValueId value) const {
    if (const ir::Node* power = algebra_.made_by(value, "Pow"))
      return algebra_.number(power->inputs[1]) == 2.0 ? std::optional(power->inputs[0])
                                                      : std::nullopt;
    const ir::Node* product = algebra_.made_by(value, "Mul");
    const bool same = product != nullptr && product->inputs[0] == product->inputs[1];
    return same ? std::optional(product->inputs[0]) : std::nullopt;
  }

  // x when value is x - mean(x).
  std::optional<ValueId> centred_of(ValueId value) const {
    const ir::Node* difference = algebra_.made_by(value, "Sub");
    if (difference == nullptr) return std::nullopt;
    const ir::Node* mean = algebra_.made_by(difference->inputs[1], "ReduceMean");
    const bool own =
        mean != nullptr && mean->inputs[0] == difference->inputs[0] && over_last(*mean);
    return own ? std::optional(difference->inputs[0]) : std::nullopt;
  }

  // Does it reduce the last axis alone and keep it?
  bool over_last(const ir::Node& reduce) const {
    const auto& shape = graph_.value(reduce.inputs[0]).shape;
    if (!shape || reduce.integer("keepdims", 1) != 1 || reduce.inputs.size() < 2 ||
        !reduce.inputs[1].valid() || !graph_.value(reduce.inputs[1]).weight.valid())
      return false;
    const auto axes = ir::read_integers(model_.weight(graph_.value(reduce.inputs[1]).weight));
    const auto rank = static_cast<std::int64_t>(shape->size());
    return axes && axes->size() == 1 && ((*axes)[0] == -1 || (*axes)[0] == rank - 1);
  }

  // A constant [width], where width is the last size of x.
  bool is_vector(ValueId value, ValueId x) const {
    const auto& shape = graph_.value(x).shape;
    const auto& own = graph_.value(value).shape;
    return graph_.value(value).weight.valid() && shape && !shape->empty() && own &&
           own->size() == 1 && (*own)[0] == shape->back();
  }

  const ir::Model& model_;
  const ir::Graph& graph_;
  ir::Algebra algebra_;
};

Expected<ValueId> ones(ir::Model& model, ir::Graph& graph, ValueId x) {
  const auto width = graph.value(x).shape->back().constant();
  if (!width) return unsupported("the width of a norm is not known");
  const std::vector<float> values(static_cast<std::size_t>(*width), 1.0f);
  return ir::add_constant(model, graph, ir::make_dense("ones", {*width}, values));
}

// Users before producers: a norm is found with its scale first, and what it leaves unused is not
// looked at again.
Expected<std::int64_t> fuse_scaled(ir::Model& model, ir::Graph& graph) {
  std::int64_t fused = 0;
  const std::vector<ir::NodeId> order = graph.order();
  for (auto id = order.rbegin(); id != order.rend(); ++id) {
    const ir::Node node = graph.node(*id);
    if ((!node.is("Mul") && !node.is("Div")) || !is_used(model, graph, node)) continue;
    auto norm = Matcher(model, graph).match(node.outputs[0]);
    if (!norm || !same_kind(graph, norm->x, node.outputs[0])) continue;
    if (!norm->scale.valid()) {
      auto scale = ones(model, graph, norm->x);
      if (!scale) continue;
      norm->scale = *scale;
    }
    replace_node(model, graph, *id, norm->centred ? "LayerNormalization" : "RMSNormalization",
                 {norm->x, norm->scale}, {{"axis", std::int64_t{-1}}, {"epsilon", norm->epsilon}});
    ++fused;
  }
  return fused;
}

Expected<std::int64_t> fuse_biases(ir::Model& model, ir::Graph& graph) {
  std::int64_t fused = 0;
  for (const ir::NodeId id : graph.order()) {
    const ir::Node node = graph.node(id);
    if (!node.is("Add")) continue;
    for (const ValueId side : node.inputs) {
      const ir::NodeId producer = graph.value(side).producer;
      if (!producer.valid()) continue;
      const ir::Node norm = graph.node(producer);
      const bool open = norm.is("LayerNormalization") && norm.inputs.size() == 2 &&
                        norm.outputs.size() == 1 && norm.integer("axis", -1) == -1;
      const auto bias = open ? Matcher(model, graph).bias(node, side) : std::nullopt;
      if (!bias || !same_kind(graph, side, node.outputs[0])) continue;
      replace_node(model, graph, id, "LayerNormalization", {norm.inputs[0], norm.inputs[1], *bias},
                   norm.attributes);
      ++fused;
      break;
    }
  }
  return fused;
}

Expected<std::int64_t> fuse(ir::Model& model, ir::Graph& graph) {
  THIMBLE_ASSIGN(const std::int64_t norms, fuse_scaled(model, graph));
  THIMBLE_ASSIGN(const std::int64_t biases, fuse_biases(model, graph));
  return norms + biases;
}

}  // namespace

pass::Registration fuse_norms() {
  return rewrite("fuse-norms", "Turn spelled-out norms into LayerNormalization, RMSNormalization",
                 fuse);
}

}  // namespace thimble::passes
