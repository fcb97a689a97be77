// fuse-attention: softmax(scale * Q K^T + mask) V over split heads, as encoders' exports spell it,
// becomes Attention on [batch, seq, heads * dim]. The scale may stand anywhere: before or after the
// product, on Q, on K or shared between them. A mask that is made of zeros and a large negative
// number becomes the bool that it stands for.

#include "passes/simplify/fuse_attention.h"

#include "ir/algebra.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::ValueId;
using Numbers = std::vector<std::int64_t>;

struct Match {
  ValueId q, k, v;  // [batch, seq, heads * dim]
  ValueId mask;     // added to the scores; invalid: none
  double scale = 1;
  std::int64_t heads = 0;
  ir::NodeId last;  // gives [batch, seq, heads * dim]
};

class Matcher {
 public:
  Matcher(const ir::Model& model, const ir::Graph& graph) : graph_(graph), algebra_(model, graph) {}

  std::optional<Match> match(const ir::Node& softmax) const {
    const std::int64_t axis = softmax.integer("axis", -1);
    Match out;
    ValueId scores = softmax.inputs[0];
    if (const ir::Node* sum = algebra_.made_by(scores, "Add")) {
      const bool left = product_of(sum->inputs[0]).has_value();
      scores = sum->inputs[left ? 0 : 1];
      out.mask = sum->inputs[left ? 1 : 0];
    }
    const auto product = product_of(scores);
    const auto& shape = graph_.value(scores).shape;
    if (!product || !shape || shape->size() != 4 || (axis != -1 && axis != 3)) return std::nullopt;
    const auto q = split(product->q, {0, 2, 1, 3});
    const auto k = keys(product->k);
    const auto values = only_user(softmax.outputs[0], "MatMul");
    if (!q || !k || !values || graph_.node(*values).inputs[0] != softmax.outputs[0])
      return std::nullopt;
    const auto v = split(graph_.node(*values).inputs[1], {0, 2, 1, 3});
    const auto merged = merge(*values);
    if (!v || !merged || q->heads != k->heads || q->heads != v->heads) return std::nullopt;
    out.q = q->value;
    out.k = k->value;
    out.v = v->value;
    out.heads = q->heads;
    out.scale = product->scale;
    out.last = *merged;
    return out;
  }

  // The bool [batch, 1, 1, keys] that an added mask stands for: (1 - m) * (large negative number),
  // or a choice between 0 and such a number.
  std::optional<ValueId> visible(ValueId mask) const {
    if (const ir::Node* choice = algebra_.made_by(mask, "Where")) {
      const auto shown = algebra_.number(choice->inputs[1]);
      const auto hidden = algebra_.number(choice->inputs[2]);
      if (shown == 0.0 && hidden && *hidden <= -1e4) return choice->inputs[0];
    }
    const ir::Product parts = algebra_.product(mask);
    const auto inverted = parts.single();
    if (!inverted || parts.coefficient > -1e4) return std::nullopt;
    const ir::Sum sum = algebra_.sum(*inverted);
    if (sum.terms.size() != 1 || sum.terms[0].second != -1 || sum.constant != 1)
      return std::nullopt;
    const ir::Node* cast = algebra_.made_by(sum.terms[0].first, "Cast");
    return cast != nullptr ? std::optional(cast->inputs[0]) : std::nullopt;
  }

 private:
  struct Scores {
    ValueId q, k;  // [batch, heads, seq, dim] and [batch, heads, dim, keys], without their scales
    double scale = 1;
  };
  struct Heads {
    ValueId value;  // before it was split
    std::int64_t heads = 0;
  };

  // A number times a value.
  std::pair<ValueId, double> unscaled(ValueId value) const {
    const ir::Product parts = algebra_.product(value);
    const auto single = parts.single();
    return single ? std::pair(*single, parts.coefficient) : std::pair(value, 1.0);
  }

  std::optional<Scores> product_of(ValueId scores) const {
    const auto [value, outer] = unscaled(scores);
    const ir::Node* product = algebra_.made_by(value, "MatMul");
    if (product == nullptr) return std::nullopt;
    const auto [q, q_scale] = unscaled(product->inputs[0]);
    const auto [k, k_scale] = unscaled(product->inputs[1]);
    return Scores{q, k, outer * q_scale * k_scale};
  }

  // Transpose(Reshape(x)) from [batch, seq, heads * dim] to four dimensions.
  std::optional<Heads> split(ValueId value, const Numbers& perm) const {
    const ir::Node* transpose = algebra_.made_by(value, "Transpose");
    if (transpose == nullptr || transpose->integers("perm") != perm) return std::nullopt;
    const ir::Node* reshape = algebra_.made_by(transpose->inputs[0], "Reshape");
    if (reshape == nullptr) return std::nullopt;
    const auto& from = graph_.value(reshape->inputs[0]).shape;
    const auto& to = graph_.value(transpose->inputs[0]).shape;
    if (!from || !to || from->size() != 3 || to->size() != 4) return std::nullopt;
    const auto heads = (*to)[2].constant();
    const bool splits = heads && (*from)[0] == (*to)[0] && (*from)[1] == (*to)[1];
    return splits ? std::optional(Heads{reshape->inputs[0], *heads}) : std::nullopt;
  }

  // Keys as [batch, heads, dim, keys]: at once, or transposed a second time.
  std::optional<Heads> keys(ValueId value) const {
    if (const auto direct = split(value, {0, 2, 3, 1})) return direct;
    const ir::Node* transpose = algebra_.made_by(value, "Transpose");
    if (transpose == nullptr || transpose->integers("perm") != Numbers{0, 1, 3, 2})
      return std::nullopt;
    return split(unscaled(transpose->inputs[0]).first, {0, 2, 1, 3});
  }

  std::optional<ir::NodeId> only_user(ValueId value, std::string_view op) const {
    const std::vector<ir::NodeId> users = graph_.users(value);
    const bool one = users.size() == 1 && !graph_.is_output(value) && graph_.node(users[0]).is(op);
    return one ? std::optional(users[0]) : std::nullopt;
  }

  // Reshape(Transpose(y)) back to [batch, seq, heads * dim].
  std::optional<ir::NodeId> merge(ir::NodeId product) const {
    const auto transpose = only_user(graph_.node(product).outputs[0], "Transpose");
    if (!transpose || graph_.node(*transpose).integers("perm") != Numbers{0, 2, 1, 3})
      return std::nullopt;
    const auto reshape = only_user(graph_.node(*transpose).outputs[0], "Reshape");
    if (!reshape) return std::nullopt;
    const auto& from = graph_.value(graph_.node(*transpose).outputs[0]).shape;
    const auto& to = graph_.value(graph_.node(*reshape).outputs[0]).shape;
    const bool joins =
        from && to && to->size() == 3 && (*from)[0] == (*to)[0] && (*from)[1] == (*to)[1];
    return joins ? reshape : std::nullopt;
  }

  const ir::Graph& graph_;
  ir::Algebra algebra_;
};

ValueId insert_cast(ir::Graph& graph, ir::NodeId before, ValueId value, ir::DType type) {
  if (graph.value(value).dtype == type) return value;
  ir::Node node{.domain = "",
                .op = "Cast",
                .name = graph.node(before).name,
                .inputs = {value},
                .outputs = {},
                .attributes = {{"to", static_cast<std::int64_t>(type)}}};
  const ir::NodeId cast =
      graph.insert_before(before, std::move(node), {graph.value(value).name + ".visible"});
  const ValueId made = graph.node(cast).outputs[0];
  graph.value(made).dtype = type;
  graph.value(made).shape = graph.value(value).shape;
  return made;
}

Expected<std::int64_t> fuse(ir::Model& model, ir::Graph& graph) {
  std::int64_t fused = 0;
  for (const ir::NodeId id : graph.order()) {
    if (!graph.alive(id)) continue;
    const ir::Node softmax = graph.node(id);
    if (!softmax.is("Softmax") || !is_used(model, graph, softmax)) continue;
    const Matcher matcher(model, graph);
    const auto found = matcher.match(softmax);
    if (!found) continue;
    std::vector<ValueId> inputs = {found->q, found->k, found->v};
    if (found->mask.valid()) {
      const auto visible = matcher.visible(found->mask);
      inputs.push_back(visible ? insert_cast(graph, found->last, *visible, ir::DType::kBool)
                               : found->mask);
    }
    replace_node(model, graph, found->last, "Attention", std::move(inputs),
                 {{"is_causal", std::int64_t{0}},
                  {"kv_num_heads", found->heads},
                  {"q_num_heads", found->heads},
                  {"scale", static_cast<float>(found->scale)}});
    ++fused;
  }
  return fused;
}

}  // namespace

pass::Registration fuse_attention() {
  return rewrite("fuse-attention", "Turn spelled-out attention of encoders into Attention", fuse);
}

}  // namespace thimble::passes
