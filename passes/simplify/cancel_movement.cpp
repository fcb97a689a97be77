// cancel-movement: Transpose after Transpose, Reshape (Flatten, Squeeze, Unsqueeze) after Reshape
// and Cast after Cast become one. A Transpose or Reshape moves behind an elementwise node of one
// input when another one follows that it meets there.

#include <algorithm>

#include "passes/registrations.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::DType;
using ir::ValueId;
using Numbers = std::vector<std::int64_t>;

bool is_reshape(const ir::Node& node) {
  return node.is("Reshape") || node.is("Flatten") || node.is("Squeeze") || node.is("Unsqueeze");
}

bool is_unary(const ir::Node& node) {
  static constexpr std::string_view kOps[] = {"Abs",
                                              "Cast",
                                              "Ceil",
                                              "Celu",
                                              "Clip",
                                              "Cos",
                                              "Elu",
                                              "Erf",
                                              "Exp",
                                              "Floor",
                                              "Gelu",
                                              "HardSigmoid",
                                              "HardSwish",
                                              "LeakyRelu",
                                              "Log",
                                              "Mish",
                                              "Neg",
                                              "Not",
                                              "Reciprocal",
                                              "Relu",
                                              "Round",
                                              "Selu",
                                              "Sigmoid",
                                              "Sign",
                                              "Sin",
                                              "Softplus",
                                              "Softsign",
                                              "Sqrt",
                                              "Swish",
                                              "Tanh",
                                              "ThresholdedRelu"};
  return node.domain.empty() &&
         std::find(std::begin(kOps), std::end(kOps), node.op) != std::end(kOps);
}

// Does `to` hold every value of `from`?
bool holds(DType from, DType to) {
  if (from == to || from == DType::kBool) return from == to || dtype_bits(to) > 0;
  const auto is_signed = [](DType type) {
    return type == DType::kI8 || type == DType::kI16 || type == DType::kI32 || type == DType::kI64;
  };
  const auto is_unsigned = [](DType type) {
    return type == DType::kU8 || type == DType::kU16 || type == DType::kU32 || type == DType::kU64;
  };
  const int a = dtype_bits(from), b = dtype_bits(to);
  const bool whole = is_signed(from) || is_unsigned(from);
  if (is_signed(to)) return whole && (is_signed(from) ? a <= b : a < b);
  if (is_unsigned(to)) return is_unsigned(from) && a <= b;
  if (to == DType::kF64) return (whole && a <= 32) || from == DType::kF32 || a == 16;
  if (to == DType::kF32) return (whole && a <= 16) || from == DType::kF16 || from == DType::kBF16;
  return false;
}

class Canceller {
 public:
  Canceller(ir::Model& model, ir::Graph& graph) : model_(model), graph_(graph) {}

  std::int64_t run() {
    std::int64_t changes = 0;
    // Each change takes a node away or moves one down, so this ends; the bound is a fuse.
    for (std::size_t round = 0; round < graph_.node_capacity() + 8; ++round) {
      const std::int64_t before = changes;
      for (const ir::NodeId id : graph_.order()) {
        if (graph_.alive(id) && (merge(id) || move(id))) ++changes;
      }
      if (changes == before) break;
    }
    if (changes > 0) ir::erase_unused_constants(model_, graph_);
    return changes;
  }

 private:
  const ir::Node* producer(ValueId value) const {
    const ir::NodeId id = graph_.value(value).producer;
    return id.valid() ? &graph_.node(id) : nullptr;
  }

  void erase_if_unused(ValueId value) {
    const ir::NodeId id = graph_.value(value).producer;
    if (id.valid() && !is_used(model_, graph_, graph_.node(id))) graph_.erase(id);
  }

  bool merge(ir::NodeId id) {
    const ir::Node second = graph_.node(id);
    if (second.inputs.empty() || !second.inputs[0].valid()) return false;
    const ir::Node* before = producer(second.inputs[0]);
    if (before == nullptr || before->inputs.empty() || !before->inputs[0].valid()) return false;
    const ir::Node first = *before;
    const bool merged = second.is("Transpose") && first.is("Transpose") ? transposes(id, first)
                        : is_reshape(second) && is_reshape(first)       ? reshapes(id, first)
                        : second.is("Cast") && first.is("Cast")         ? casts(id, first)
                                                                        : false;
    if (merged) erase_if_unused(first.outputs[0]);
    return merged;
  }

  Numbers perm_of(const ir::Node& transpose) const {
    Numbers perm = transpose.integers("perm");
    if (!perm.empty()) return perm;
    const auto& shape = graph_.value(transpose.inputs[0]).shape;
    for (std::size_t i = shape ? shape->size() : 0; i > 0; --i)
      perm.push_back(static_cast<std::int64_t>(i) - 1);
    return perm;
  }

  bool transposes(ir::NodeId id, const ir::Node& first) {
    const Numbers inner = perm_of(first), outer = perm_of(graph_.node(id));
    if (inner.size() != outer.size() || inner.empty()) return false;
    Numbers perm;
    for (const std::int64_t axis : outer) perm.push_back(inner[static_cast<std::size_t>(axis)]);
    if (std::is_sorted(perm.begin(), perm.end()) && bypass(model_, graph_, id, first.inputs[0]))
      return true;
    if (graph_.node(id).inputs[0] == first.inputs[0]) return false;
    replace_node(model_, graph_, id, "Transpose", {first.inputs[0]}, {{"perm", perm}});
    return true;
  }

  bool reshapes(ir::NodeId id, const ir::Node& first) {
    const ValueId x = first.inputs[0], y = graph_.node(id).outputs[0];
    if (same_kind(graph_, x, y) && bypass(model_, graph_, id, x)) return true;
    return only_read_by(model_, graph_, first.outputs[0], id) &&
           become_reshape(model_, graph_, id, x);
  }

  bool casts(ir::NodeId id, const ir::Node& first) {
    const ValueId x = first.inputs[0];
    const DType from = graph_.value(x).dtype, through = graph_.value(first.outputs[0]).dtype;
    if (!holds(from, through)) return false;
    const ir::Node second = graph_.node(id);
    if (same_kind(graph_, x, second.outputs[0]) && bypass(model_, graph_, id, x)) return true;
    replace_node(model_, graph_, id, "Cast", {x}, second.attributes);
    return true;
  }

  // Does a chain of elementwise nodes lead from `value` to a movement like `kind`?
  bool meets(ValueId value, const ir::Node& kind) const {
    for (int length = 0; length < 8; ++length) {
      const std::vector<ir::NodeId> users = graph_.users(value);
      if (users.size() != 1 || !only_read_by(model_, graph_, value, users[0])) return false;
      const ir::Node& user = graph_.node(users[0]);
      if (user.inputs[0] != value) return false;
      if (kind.is("Transpose") ? user.is("Transpose") : is_reshape(user)) return true;
      if (!is_unary(user)) return false;
      value = user.outputs[0];
    }
    return false;
  }

  // movement, then elementwise -> elementwise, then movement
  bool move(ir::NodeId id) {
    const ir::Node unary = graph_.node(id);
    if (!is_unary(unary) || unary.outputs.size() != 1) return false;
    const ir::Node* before = producer(unary.inputs[0]);
    if (before == nullptr || (!before->is("Transpose") && !is_reshape(*before))) return false;
    const ir::Node movement = *before;
    if (movement.outputs.size() != 1 || !only_read_by(model_, graph_, unary.inputs[0], id) ||
        !meets(unary.outputs[0], movement))
      return false;
    ir::Node moved = unary;
    moved.inputs[0] = movement.inputs[0];
    moved.outputs.clear();
    const ir::NodeId fresh =
        graph_.insert_before(id, std::move(moved), {graph_.value(unary.outputs[0]).name});
    const ValueId result = graph_.node(fresh).outputs[0];
    graph_.value(result).dtype = graph_.value(unary.outputs[0]).dtype;
    graph_.value(result).shape = graph_.value(movement.inputs[0]).shape;
    std::vector<ValueId> inputs = movement.inputs;
    inputs[0] = result;
    replace_node(model_, graph_, id, movement.op, std::move(inputs), movement.attributes);
    erase_if_unused(movement.outputs[0]);
    return true;
  }

  ir::Model& model_;
  ir::Graph& graph_;
};

Expected<std::int64_t> cancel(ir::Model& model, ir::Graph& graph) {
  return Canceller(model, graph).run();
}

}  // namespace

pass::Registration cancel_movement() {
  return rewrite("cancel-movement",
                 "Merge or cancel Transpose, Reshape and Cast that follow each other", cancel);
}

}  // namespace thimble::passes
