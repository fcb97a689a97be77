// fuse-attention: softmax(scale * Q K^T + mask) V over split heads, as exports spell it,
// becomes Attention on [batch, seq, heads * dim]. The scale may stand anywhere: before or after the
// product, on Q, on K or shared between them. A mask that is made of zeros and a large negative
// number becomes the bool that it stands for. Q, K and V may be parts of one product [batch, seq,
// 3 * heads * dim], and keys and values heads that were repeated for groups of queries (GQA).

#include <algorithm>

#include "ir/algebra.h"
#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::ValueId;
using Numbers = std::vector<std::int64_t>;

// Heads as they were before they were split: [batch, seq, heads * dim], or a third of such a value
// of three times the width.
struct Heads {
  ValueId value;
  std::int64_t heads = 0;
  std::int64_t part = -1;  // 0, 1, 2: the third that is meant; -1: all
};

struct Match {
  Heads q, k, v;
  ValueId mask;  // added to the scores; invalid: none
  double scale = 1;
  ir::NodeId last;  // gives [batch, seq, heads * dim]
};

class Matcher {
 public:
  Matcher(const ir::Model& model, const ir::Graph& graph)
      : model_(model), graph_(graph), algebra_(model, graph) {}

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
    const auto q = heads_of(product->q);
    const auto k = keys(product->k);
    const auto values = only_user(softmax.outputs[0], "MatMul");
    if (!q || !k || !values || graph_.node(*values).inputs[0] != softmax.outputs[0])
      return std::nullopt;
    const auto v = repeated(graph_.node(*values).inputs[1]);
    const auto merged = merge(*values);
    if (!v || !merged || v->heads != k->heads || q->heads % k->heads != 0) return std::nullopt;
    const bool apart = q->part < 0 && k->part < 0 && v->part < 0;
    const bool packed = q->part >= 0 && k->part >= 0 && v->part >= 0 && q->value == k->value &&
                        q->value == v->value;
    if (!apart && !packed) return std::nullopt;
    out.q = *q;
    out.k = *k;
    out.v = *v;
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

  // [batch, heads, seq, dim] out of [batch, seq, heads * dim], or out of a third of a packed value.
  std::optional<Heads> heads_of(ValueId value) const {
    if (const auto own = split(value, {0, 2, 1, 3})) return own;
    return packed(value);
  }

  // Number `part` along the first axis of Transpose(Reshape(x)), from [batch, seq, 3 * heads * dim]
  // to [3, batch, heads, seq, dim].
  std::optional<Heads> packed(ValueId value) const {
    std::int64_t part = -1;
    ValueId all;
    if (const ir::Node* gather = algebra_.made_by(value, "Gather")) {
      const auto index = constant_integers(model_, graph_, gather->inputs[1]);
      const auto& rank = graph_.value(gather->inputs[1]).shape;
      if (!index || !rank || !rank->empty() || gather->integer("axis", 0) != 0) return std::nullopt;
      part = (*index)[0];
      all = gather->inputs[0];
    } else if (const ir::Node* squeeze = algebra_.made_by(value, "Squeeze")) {
      const ir::Node* pieces = algebra_.made_by(squeeze->inputs[0], "Split");
      if (pieces == nullptr || pieces->integer("axis", 0) != 0) return std::nullopt;
      part = std::find(pieces->outputs.begin(), pieces->outputs.end(), squeeze->inputs[0]) -
             pieces->outputs.begin();
      all = pieces->inputs[0];
    }
    const ir::Node* transpose = all.valid() ? algebra_.made_by(all, "Transpose") : nullptr;
    if (transpose == nullptr || transpose->integers("perm") != Numbers{2, 0, 3, 1, 4})
      return std::nullopt;
    const ir::Node* reshape = algebra_.made_by(transpose->inputs[0], "Reshape");
    if (reshape == nullptr) return std::nullopt;
    const auto& from = graph_.value(reshape->inputs[0]).shape;
    const auto& to = graph_.value(transpose->inputs[0]).shape;
    if (!from || !to || from->size() != 3 || to->size() != 5 || (*to)[2] != ir::Dim(3) ||
        (*from)[0] != (*to)[0] || (*from)[1] != (*to)[1] || part < 0 || part > 2)
      return std::nullopt;
    const auto heads = (*to)[3].constant();
    return heads && from->back().constant() ? std::optional(Heads{reshape->inputs[0], *heads, part})
                                            : std::nullopt;
  }

  // Heads of keys or values, each of them repeated for the queries of its group by
  // Reshape(Expand(Unsqueeze(x, 2))) or not at all.
  std::optional<Heads> repeated(ValueId value) const {
    const ir::Node* reshape = algebra_.made_by(value, "Reshape");
    if (reshape == nullptr) return heads_of(value);
    const ir::Node* expand = algebra_.made_by(reshape->inputs[0], "Expand");
    if (expand == nullptr) return std::nullopt;
    const auto& wide = graph_.value(reshape->inputs[0]).shape;
    const auto& thin = graph_.value(expand->inputs[0]).shape;
    const auto& joined = graph_.value(value).shape;
    const ir::Node* unsqueeze = algebra_.made_by(expand->inputs[0], "Unsqueeze");
    if (unsqueeze == nullptr || !wide || !thin || !joined || wide->size() != 5 ||
        thin->size() != 5 || joined->size() != 4 || (*thin)[2] != ir::Dim(1))
      return std::nullopt;
    const auto axes = constant_integers(model_, graph_, unsqueeze->inputs[1]);
    const bool third = axes && axes->size() == 1 && ((*axes)[0] == 2 || (*axes)[0] == -3);
    const bool same = (*wide)[0] == (*joined)[0] && (*wide)[1] == (*thin)[1] &&
                      (*wide)[3] == (*joined)[2] && (*wide)[4] == (*joined)[3];
    return third && same ? heads_of(unsqueeze->inputs[0]) : std::nullopt;
  }

  // Keys as [batch, heads, dim, keys]: at once, or transposed a second time.
  std::optional<Heads> keys(ValueId value) const {
    if (const auto direct = split(value, {0, 2, 3, 1})) return direct;
    const ir::Node* transpose = algebra_.made_by(value, "Transpose");
    if (transpose == nullptr || transpose->integers("perm") != Numbers{0, 1, 3, 2})
      return std::nullopt;
    return repeated(unscaled(transpose->inputs[0]).first);
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

  const ir::Model& model_;
  const ir::Graph& graph_;
  ir::Algebra algebra_;
};

// The three thirds of a packed value, cut where they lie.
std::vector<ValueId> insert_split(ir::Model& model, ir::Graph& graph, ir::NodeId before,
                                  ValueId packed) {
  const ir::Value whole = graph.value(packed);
  const std::int64_t third = *whole.shape->back().constant() / 3;
  const ValueId sizes = ir::add_constant(
      model, graph,
      ir::make_dense(whole.name + ".thirds", {3}, std::vector<std::int64_t>{third, third, third}));
  ir::Node node{.domain = "",
                .op = "Split",
                .name = graph.node(before).name,
                .inputs = {packed, sizes},
                .outputs = {},
                .attributes = {{"axis", std::int64_t{2}}}};
  const ir::NodeId split = graph.insert_before(
      before, std::move(node), {whole.name + ".q", whole.name + ".k", whole.name + ".v"});
  std::vector<ValueId> parts = graph.node(split).outputs;
  for (const ValueId part : parts) {
    graph.value(part).dtype = whole.dtype;
    graph.value(part).shape = whole.shape;
    graph.value(part).shape->back() = third;
  }
  return parts;
}

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
    std::vector<ValueId> inputs = {found->q.value, found->k.value, found->v.value};
    if (found->q.part >= 0) {
      const auto parts = insert_split(model, graph, found->last, found->q.value);
      inputs.clear();
      for (const Heads* heads : {&found->q, &found->k, &found->v})
        inputs.push_back(parts[static_cast<std::size_t>(heads->part)]);
    }
    if (found->mask.valid()) {
      const auto visible = matcher.visible(found->mask);
      inputs.push_back(visible ? insert_cast(graph, found->last, *visible, ir::DType::kBool)
                               : found->mask);
    }
    replace_node(model, graph, found->last, "Attention", std::move(inputs),
                 {{"is_causal", std::int64_t{0}},
                  {"kv_num_heads", found->k.heads},
                  {"q_num_heads", found->q.heads},
                  {"scale", static_cast<float>(found->scale)}});
    ++fused;
  }
  return fused;
}

}  // namespace

pass::Registration fuse_attention() {
  return rewrite("fuse-attention", "Turn spelled-out attention into Attention", fuse);
}

}  // namespace thimble::passes
