// fold-indices: a Gather or GatherND whose indices number the elements in order is a Reshape; an
// And with what is true everywhere goes; so does an Expand (and the widening by such an And) where
// the elementwise nodes that read it broadcast all the same. Exporters of attention masks write
// these.

#include <algorithm>

#include "passes/registrations.h"
#include "passes/simplify/index_grid.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

using ir::ValueId;

bool broadcasts(const ir::Node& node) {
  static constexpr std::string_view kOps[] = {
      "Add",  "And",         "Cast",  "Div", "Equal", "Greater", "GreaterOrEqual",
      "Less", "LessOrEqual", "Max",   "Min", "Mul",   "Not",     "Or",
      "Pow",  "Sub",         "Where", "Xor"};
  return node.domain.empty() &&
         std::find(std::begin(kOps), std::end(kOps), node.op) != std::end(kOps);
}

class Folder {
 public:
  Folder(ir::Model& model, const std::vector<std::optional<ir::DimData>>& data)
      : model_(model), graph_(model.graph), grids_(model, data) {}

  // One change: shapes and grids must be found anew after it.
  bool step() {
    for (const ir::NodeId id : graph_.order()) {
      const ir::Node node = graph_.node(id);
      if (node.is("Gather") && gather(id, node)) return true;
      if (node.is("GatherND") && gather_nd(id, node)) return true;
      if (node.is("And") && conjunction(id, node)) return true;
      if (node.is("Expand") && narrow(id, node.inputs[0])) return true;
    }
    return false;
  }

 private:
  const std::optional<ir::Shape>& shape(ValueId value) const { return graph_.value(value).shape; }

  bool give_all(ir::NodeId id, ValueId x) {
    const auto& to = shape(graph_.node(id).outputs[0]);
    return shape(x) && to && ir::element_count(*shape(x)) == ir::element_count(*to) &&
           become_reshape(model_, graph_, id, x);
  }

  // From a table of single elements.
  bool gather(ir::NodeId id, const ir::Node& node) {
    if (node.integer("axis", 0) != 0 || graph_.value(node.inputs[0]).weight.valid()) return false;
    const auto& from = shape(node.inputs[0]);
    if (!from || from->empty() ||
        !std::all_of(from->begin() + 1, from->end(),
                     [](const ir::Dim& dim) { return dim == ir::Dim(1); }))
      return false;
    const auto grid = grids_.find(node.inputs[1]);
    return grid && counts_elements(*grid) && give_all(id, before_reshape(node.inputs[0]));
  }

  ValueId before_reshape(ValueId value) const {
    const ir::NodeId producer = graph_.value(value).producer;
    if (!producer.valid()) return value;
    const ir::Node& node = graph_.node(producer);
    return node.is("Reshape") || node.is("Flatten") ? node.inputs[0] : value;
  }

  // By a full index, whose coordinates are concatenated.
  bool gather_nd(ir::NodeId id, const ir::Node& node) {
    const auto& from = shape(node.inputs[0]);
    const ir::NodeId producer = graph_.value(node.inputs[1]).producer;
    const auto& to = shape(node.outputs[0]);
    if (!from || !to || !producer.valid() || node.integer("batch_dims", 0) != 0) return false;
    const ir::Node& concat = graph_.node(producer);
    const auto last = static_cast<std::int64_t>(to->size());
    const std::int64_t axis = concat.integer("axis", 0);
    if (!concat.is("Concat") || (axis != -1 && axis != last) ||
        concat.inputs.size() != from->size())
      return false;
    Grid flat{*to, 0, std::vector<ir::Dim>(to->size(), ir::Dim(0))};
    ir::Dim stride = 1;
    for (std::size_t k = from->size(); k > 0; --k) {
      const auto grid = grids_.find(concat.inputs[k - 1]);
      if (!grid || grid->shape.size() != to->size() + 1) return false;
      flat.offset = flat.offset + stride * grid->offset;
      for (std::size_t i = 0; i < to->size(); ++i)
        flat.steps[i] = flat.steps[i] + stride * grid->steps[i];
      stride = stride * (*from)[k - 1];
    }
    return counts_elements(flat) && give_all(id, node.inputs[0]);
  }

  bool conjunction(ir::NodeId id, const ir::Node& node) {
    for (std::size_t side = 0; side < 2; ++side) {
      if (grids_.all_true(node.inputs[1 - side]) && narrow(id, node.inputs[side])) return true;
    }
    return false;
  }

  // Puts `x` in the place of the node's result, which is x broadcast.
  bool narrow(ir::NodeId id, ValueId x) {
    const ValueId result = graph_.node(id).outputs[0];
    if (!shape(x) || !shape(result)) return false;
    if (same_kind(graph_, x, result)) return bypass(model_, graph_, id, x);
    if (!may_narrow(result, *shape(x), 0)) return false;
    ir::replace_uses(model_, graph_, result, x);
    graph_.erase(id);
    return true;
  }

  // Would everything that reads `value` give the same if it had shape `to` and were broadcast?
  bool may_narrow(ValueId value, const ir::Shape& to, int depth) const {
    if (depth > 6 || graph_.is_output(value) || ir::is_captured(model_, graph_, value))
      return false;
    for (const ir::NodeId id : graph_.users(value)) {
      const ir::Node& user = graph_.node(id);
      if (!broadcasts(user)) return false;
      Expected<ir::Shape> made = ir::Shape();
      for (const ValueId input : user.inputs) {
        if (!shape(input)) return false;
        made = ir::broadcast(*made, input == value ? to : *shape(input));
        if (!made) return false;
      }
      const ValueId result = user.outputs[0];
      if (!shape(result)) return false;
      if (!(*made == *shape(result)) && !may_narrow(result, *made, depth + 1)) return false;
    }
    return true;
  }

  ir::Model& model_;
  ir::Graph& graph_;
  Grids grids_;
};

class FoldIndices : public pass::Pass {
 public:
  Status configure(const pass::Options&) override { return ok(); }
  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    THIMBLE_ASSIGN(auto data, ir::infer_data(model, model.graph));
    while (Folder(model, data).step()) {
      ++report.current().changes;
      THIMBLE_ASSIGN(data, ir::infer_data(model, model.graph));
    }
    return ok();
  }
};

}  // namespace

pass::Registration fold_indices() {
  return {{.name = "fold-indices",
           .summary = "Turn gathers in order into reshapes, drop what broadcasting does anyway",
           .kind = pass::Kind::kRewrite,
           .options = {}},
          [] { return std::unique_ptr<pass::Pass>(new FoldIndices); }};
}

}  // namespace thimble::passes
