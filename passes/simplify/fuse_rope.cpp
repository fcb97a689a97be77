// fuse-rope: x * cos + rotate_half(x) * sin over [batch, heads, seq, dim], where rotate_half(x)
// puts the second half of the last axis, negated, before the first, becomes RotaryEmbedding (Su et
// al., RoFormer, 2021, eq. 34, with pairs dim / 2 apart). Exporters spell both tables twice as wide
// as they need be, [..., dim] of two equal halves; what is left of them is one half.
//
// Where x is [batch, seq, heads, dim] transposed, as before attention, the turn is put before the
// Transpose, on [batch, seq, heads * dim], so that fuse-attention finds the heads split after it.

#include <algorithm>

#include "ir/algebra.h"
#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::ValueId;
using Numbers = std::vector<std::int64_t>;

constexpr std::int64_t kLargestTable = 1 << 24;  // elements of a constant whose halves are compared

struct Match {
  ValueId x;             // [batch, heads, seq, dim]
  ValueId cosine, sine;  // [batch or 1, 1, seq, dim], [1, seq, dim] or [seq, dim]
};

class Matcher {
 public:
  Matcher(const ir::Model& model, const ir::Graph& graph)
      : model_(model), graph_(graph), algebra_(model, graph) {}

  std::optional<Match> match(const ir::Node& sum) const {
    const ir::Node* parts[] = {algebra_.made_by(sum.inputs[0], "Mul"),
                               algebra_.made_by(sum.inputs[1], "Mul")};
    if (parts[0] == nullptr || parts[1] == nullptr) return std::nullopt;
    for (int turned = 0; turned < 2; ++turned) {
      for (int side = 0; side < 2; ++side) {
        const auto x = unrotated(parts[turned]->inputs[side]);
        if (!x) continue;
        const ir::Node& straight = *parts[1 - turned];
        const int own = straight.inputs[0] == *x ? 0 : 1;
        const Match found{*x, straight.inputs[1 - own], parts[turned]->inputs[1 - side]};
        if (straight.inputs[own] == *x && fits(found)) return found;
      }
    }
    return std::nullopt;
  }

 private:
  bool fits(const Match& found) const {
    const auto& x = graph_.value(found.x).shape;
    if (!x || x->size() != 4 || !is_table(found.cosine, *x) || !is_table(found.sine, *x))
      return false;
    return *graph_.value(found.cosine).shape == *graph_.value(found.sine).shape;
  }

  bool is_table(ValueId value, const ir::Shape& x) const {
    const auto& own = graph_.value(value).shape;
    if (!own || own->size() < 2 || own->size() > 4 || own->back() != x[3] ||
        (*own)[own->size() - 2] != x[2] || graph_.value(value).dtype != ir::DType::kF32)
      return false;
    if (own->size() == 3 && (*own)[0] != ir::Dim(1)) return false;
    if (own->size() == 4 &&
        ((*own)[1] != ir::Dim(1) || ((*own)[0] != ir::Dim(1) && (*own)[0] != x[0])))
      return false;
    return halves_equal(value, x[3].constant().value_or(0));
  }

  // x when the value is Concat(-x[..., dim / 2:], x[..., :dim / 2]).
  std::optional<ValueId> unrotated(ValueId value) const {
    const ir::Node* joined = algebra_.made_by(value, "Concat");
    if (joined == nullptr || joined->inputs.size() != 2 || !is_last(*joined, value))
      return std::nullopt;
    const ir::Node* negated = algebra_.made_by(joined->inputs[0], "Neg");
    if (negated == nullptr) return std::nullopt;
    const auto second = half_of(negated->inputs[0], 1);
    const auto first = half_of(joined->inputs[1], 0);
    return first && second && *first == *second ? first : std::nullopt;
  }

  // x when the value is its first or second half along the last axis: a Slice, or a part of a
  // Split.
  std::optional<ValueId> half_of(ValueId value, std::int64_t part) const {
    const ir::Node* cut = algebra_.producer(value);
    if (cut == nullptr || (!cut->is("Slice") && !cut->is("Split"))) return std::nullopt;
    const auto& whole = graph_.value(cut->inputs[0]).shape;
    const auto& own = graph_.value(value).shape;
    const auto width = whole && !whole->empty() ? whole->back().constant() : std::nullopt;
    if (!width || !own || *width % 2 != 0 || own->back() != ir::Dim(*width / 2))
      return std::nullopt;
    const bool right = cut->is("Split") ? cut->outputs.size() == 2 && cut->outputs[part] == value &&
                                              is_last(*cut, cut->inputs[0])
                                        : slices(*cut, *width, part);
    return right ? std::optional(cut->inputs[0]) : std::nullopt;
  }

  bool slices(const ir::Node& cut, std::int64_t width, std::int64_t part) const {
    if (cut.inputs.size() < 4) return false;
    const auto starts = constant_integers(model_, graph_, cut.inputs[1]);
    const auto axes = constant_integers(model_, graph_, cut.inputs[3]);
    const auto rank = static_cast<std::int64_t>(graph_.value(cut.inputs[0]).shape->size());
    if (!starts || !axes || axes->size() != 1 || ((*axes)[0] != -1 && (*axes)[0] != rank - 1))
      return false;
    if (cut.inputs.size() > 4 && cut.inputs[4].valid() &&
        constant_integers(model_, graph_, cut.inputs[4]) != Numbers{1})
      return false;
    const std::int64_t start = (*starts)[0] < 0 ? (*starts)[0] + width : (*starts)[0];
    return start == part * width / 2;  // its end follows from the result's width
  }

  bool is_last(const ir::Node& node, ValueId along) const {
    const auto& shape = graph_.value(along).shape;
    const std::int64_t axis = node.integer("axis", 0);
    return shape && (axis == -1 || axis == static_cast<std::int64_t>(shape->size()) - 1);
  }

  // Are both halves of the last axis the same? Looks through what treats every element alike.
  bool halves_equal(ValueId value, std::int64_t width) const {
    if (width < 2 || width % 2 != 0) return false;
    for (int steps = 0; steps < 8; ++steps) {
      if (graph_.value(value).weight.valid()) return constant_halves_equal(value, width);
      const ir::Node* node = algebra_.producer(value);
      const auto& shape = graph_.value(value).shape;
      if (node == nullptr || !shape || shape->empty() || shape->back() != ir::Dim(width))
        return false;
      if (node->is("Concat"))
        return node->inputs.size() == 2 && node->inputs[0] == node->inputs[1] &&
               is_last(*node, value);
      const bool one = node->is("Cos") || node->is("Sin") || node->is("Cast") ||
                       node->is("Unsqueeze") || node->is("Squeeze") || node->is("Expand");
      const bool scaled = node->is("Mul") && algebra_.number(node->inputs[1]).has_value();
      if (!one && !scaled) return false;
      value = node->inputs[0];
    }
    return false;
  }

  bool constant_halves_equal(ValueId value, std::int64_t width) const {
    const ir::Weight& weight = model_.weight(graph_.value(value).weight);
    if (weight.dims.empty() || weight.dims.back() != width ||
        weight.element_count() > kLargestTable)
      return false;
    const auto numbers = ir::read_floats(weight);
    if (!numbers) return false;
    const std::int64_t rows = weight.element_count() / width;
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto begin = numbers->begin() + row * width;
      if (!std::equal(begin, begin + width / 2, begin + width / 2)) return false;
    }
    return true;
  }

  const ir::Model& model_;
  const ir::Graph& graph_;
  ir::Algebra algebra_;
};

// Writes nodes before one place, each with its type and shape.
class Writer {
 public:
  Writer(ir::Model& model, ir::Graph& graph, ir::NodeId place)
      : model_(model), graph_(graph), place_(place) {}

  ValueId add(std::string op, std::vector<ValueId> inputs, std::vector<ir::Attribute> attributes,
              ir::DType type, ir::Shape shape) {
    ir::Node node{.domain = "",
                  .op = std::move(op),
                  .name = graph_.node(place_).name,
                  .inputs = std::move(inputs),
                  .outputs = {},
                  .attributes = std::move(attributes)};
    const std::string name = graph_.value(graph_.node(place_).outputs[0]).name + "." + node.op;
    const ir::NodeId made = graph_.insert_before(place_, std::move(node), {name});
    const ValueId result = graph_.node(made).outputs[0];
    graph_.value(result).dtype = type;
    graph_.value(result).shape = std::move(shape);
    return result;
  }

  ValueId integers(const Numbers& values) {
    return ir::add_constant(
        model_, graph_, ir::make_dense("rope", {static_cast<std::int64_t>(values.size())}, values));
  }

  ValueId reshaped(ValueId value, ir::Shape to, const Numbers& target) {
    return add("Reshape", {value, integers(target)}, {}, ir::DType::kF32, std::move(to));
  }

 private:
  ir::Model& model_;
  ir::Graph& graph_;
  ir::NodeId place_;
};

// The sizes [batch, 1, 1] as a value. An input of the graph tells the batch where one has it, so
// that every turn of a model asks the same node.
ValueId batch_sizes(Writer& writer, const ir::Graph& graph, ValueId x) {
  const ir::Dim batch = (*graph.value(x).shape)[0];
  if (const auto size = batch.constant()) return writer.integers({*size, 1, 1});
  ValueId source = x;
  for (const ValueId input : graph.inputs()) {
    const auto& shape = graph.value(input).shape;
    if (source == x && shape && !shape->empty() && shape->front() == batch) source = input;
  }
  const ValueId size =
      writer.add("Shape", {source}, {{"end", std::int64_t{1}}, {"start", std::int64_t{0}}},
                 ir::DType::kI64, {ir::Dim(1)});
  return writer.add("Concat", {size, writer.integers({1, 1})}, {{"axis", std::int64_t{0}}},
                    ir::DType::kI64, {ir::Dim(3)});
}

// The first half of a table as RotaryEmbedding takes it: [batch, seq, dim / 2].
ValueId half_table(Writer& writer, const ir::Graph& graph, ValueId table, ValueId x) {
  const ir::Shape full = *graph.value(x).shape;
  ir::Shape shape = *graph.value(table).shape;
  const std::int64_t half = *shape.back().constant() / 2;
  shape.back() = half;
  ValueId value = writer.add("Slice",
                             {table, writer.integers({0}), writer.integers({half}),
                              writer.integers({static_cast<std::int64_t>(shape.size()) - 1})},
                             {}, ir::DType::kF32, shape);
  if (shape.size() == 4) {
    shape.erase(shape.begin() + 1);
    value = writer.add("Squeeze", {value, writer.integers({1})}, {}, ir::DType::kF32, shape);
  } else if (shape.size() == 2) {
    shape.insert(shape.begin(), ir::Dim(1));
    value = writer.add("Unsqueeze", {value, writer.integers({0})}, {}, ir::DType::kF32, shape);
  }
  if (shape[0] == full[0]) return value;
  shape[0] = full[0];
  return writer.add("Expand", {value, batch_sizes(writer, graph, x)}, {}, ir::DType::kF32, shape);
}

// y of Transpose(y) from [batch, seq, heads, dim] with heads and dim known.
std::optional<ValueId> untransposed(const ir::Graph& graph, ValueId x) {
  const ir::NodeId made = graph.value(x).producer;
  if (!made.valid() || !graph.node(made).is("Transpose")) return std::nullopt;
  const ir::Node& transpose = graph.node(made);
  const auto& shape = graph.value(transpose.inputs[0]).shape;
  const bool known =
      shape && shape->size() == 4 && (*shape)[2].constant() && (*shape)[3].constant();
  return known && transpose.integers("perm") == Numbers{0, 2, 1, 3}
             ? std::optional(transpose.inputs[0])
             : std::nullopt;
}

void turn(ir::Model& model, ir::Graph& graph, ir::NodeId sum, const Match& found) {
  Writer writer(model, graph, sum);
  const ValueId cosine = half_table(writer, graph, found.cosine, found.x);
  const ValueId sine = half_table(writer, graph, found.sine, found.x);
  const auto rows = untransposed(graph, found.x);
  if (!rows) {
    replace_node(model, graph, sum, "RotaryEmbedding", {found.x, cosine, sine}, {});
    return;
  }
  const ir::Shape apart = *graph.value(*rows).shape;
  const std::int64_t heads = *apart[2].constant(), dim = *apart[3].constant();
  const ir::Shape joined = {apart[0], apart[1], ir::Dim(heads * dim)};
  const ValueId flat = writer.reshaped(*rows, joined, {0, 0, heads * dim});
  const ValueId turned = writer.add("RotaryEmbedding", {flat, cosine, sine}, {{"num_heads", heads}},
                                    ir::DType::kF32, joined);
  const ValueId split = writer.reshaped(turned, apart, {0, 0, heads, dim});
  replace_node(model, graph, sum, "Transpose", {split}, {{"perm", Numbers{0, 2, 1, 3}}});
}

Expected<std::int64_t> fuse(ir::Model& model, ir::Graph& graph) {
  std::int64_t fused = 0;
  for (const ir::NodeId id : graph.order()) {
    if (!graph.alive(id) || !graph.node(id).is("Add") || !is_used(model, graph, graph.node(id)))
      continue;
    const auto found = Matcher(model, graph).match(graph.node(id));
    if (!found) continue;
    turn(model, graph, id, *found);
    ++fused;
  }
  return fused;
}

}  // namespace

pass::Registration fuse_rope() {
  return rewrite("fuse-rope", "Turn spelled-out rotary position embeddings into RotaryEmbedding",
                 fuse);
}

}  // namespace thimble::passes
