#include "ir/extract.h"

#include <algorithm>
#include <set>

namespace thimble::ir {
namespace {

class Extraction {
 public:
  explicit Extraction(const Model& model)
      : from_(model),
        values_(model.graph.value_capacity()),
        weights_(model.weights.size()),
        needed_(model.graph.node_capacity()),
        read_(model.graph.value_capacity()) {
    part_.graphs = model.graphs;
    part_.source_path = model.source_path;
    part_.max_context = model.max_context;
    part_.graph.name = model.graph.name;
    if (!model.graphs.empty()) keep_all_weights();
  }

  Model run(std::span<const ValueId> inputs, std::span<const ValueId> outputs) {
    for (const ValueId input : inputs) add_input(input);
    std::vector<ValueId> wanted(outputs.begin(), outputs.end());
    find_nodes(wanted);
    find_states(wanted);
    for (const ValueId input : from_.graph.inputs()) {
      if (read_[input.index] && !values_[input.index].valid()) add_input(input);
    }
    for (const NodeId node : from_.graph.order()) {
      if (needed_[node.index]) add_node(node);
    }
    std::vector<ValueId> results;
    for (const ValueId value : wanted) {
      const ValueId result = mapped(value);
      if (std::find(results.begin(), results.end(), result) == results.end())
        results.push_back(result);
    }
    part_.graph.set_outputs(std::move(results));
    forget_untold_sizes();
    return std::move(part_);
  }

 private:
  // Bodies name weights by id.
  void keep_all_weights() {
    part_.weights = from_.weights;
    for (std::uint32_t i = 0; i < weights_.size(); ++i) weights_[i] = {i};
  }

  void add_input(ValueId id) {
    if (values_[id.index].valid()) return;
    const Value& value = from_.graph.value(id);
    values_[id.index] =
        part_.graph.add_input(value.name, value.dtype, value.shape.value_or(Shape{}));
    part_.graph.value(values_[id.index]).shape = value.shape;
    part_.graph.value(values_[id.index]).activation = value.activation;
    part_.graph.value(values_[id.index]).static_scale = value.static_scale;
  }

  void find_nodes(std::vector<ValueId> work) {
    while (!work.empty()) {
      const ValueId value = work.back();
      work.pop_back();
      const NodeId producer = from_.graph.value(value).producer;
      if (!producer.valid() || values_[value.index].valid() || needed_[producer.index]) continue;
      needed_[producer.index] = true;
      for (const ValueId read : reads_of(from_, from_.graph, from_.graph.node(producer))) {
        read_[read.index] = true;
        work.push_back(read);
      }
    }
  }

  // A state is whole or absent: its output may need nodes that nothing else asks for.
  void find_states(std::vector<ValueId>& wanted) {
    for (const State& state : from_.states) {
      const auto input = from_.graph.find_value(state.input);
      const auto output = from_.graph.find_value(state.output);
      if (!input || !output || !read_[input->index]) continue;
      find_nodes({*output});
      wanted.push_back(*output);
      part_.states.push_back(state);
    }
  }

  WeightId mapped(WeightId id) {
    if (!weights_[id.index].valid()) weights_[id.index] = part_.add_weight(from_.weight(id));
    return weights_[id.index];
  }

  ValueId mapped(ValueId id) {
    if (!id.valid()) return id;
    ValueId& known = values_[id.index];
    if (known.valid()) return known;
    const Value& value = from_.graph.value(id);
    THIMBLE_CHECK(value.weight.valid(), "a part's value is an input, a constant or computed in it");
    known = part_.graph.add_constant(mapped(value.weight), value.name, value.dtype,
                                     value.shape.value_or(Shape{}));
    return known;
  }

  void add_node(NodeId id) {
    Node node = from_.graph.node(id);
    for (const ValueId read : reads_of(from_, from_.graph, node)) mapped(read);  // captures too
    for (ValueId& input : node.inputs) input = mapped(input);
    for (Attribute& attribute : node.attributes) {
      if (auto* weight = std::get_if<WeightId>(&attribute.value)) *weight = mapped(*weight);
    }
    const std::vector<ValueId> outputs = node.outputs;
    std::vector<std::string> names;
    for (const ValueId output : outputs)
      names.push_back(output.valid() ? from_.graph.value(output).name : "");
    const NodeId added = part_.graph.add_node(std::move(node), names);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].valid()) copy_facts(outputs[i], part_.graph.node(added).outputs[i]);
    }
  }

  void copy_facts(ValueId from, ValueId to) {
    const Value& original = from_.graph.value(from);
    Value& value = part_.graph.value(to);
    value.dtype = original.dtype;
    value.shape = original.shape;
    value.activation = original.activation;
    value.static_scale = original.static_scale;
    // A value at which the walk stopped stays the input that it is.
    if (!values_[from.index].valid()) values_[from.index] = to;
  }

  // Sizes that the part's inputs don't tell are found as it runs: where a batch and a length went
  // into one size before the cut, for example.
  void forget_untold_sizes() {
    std::set<std::string> told;
    const auto untold = [&](ValueId id) {
      const auto& shape = part_.graph.value(id).shape;
      return shape && std::any_of(shape->begin(), shape->end(), [&](const Dim& dim) {
               const std::vector<std::string> symbols = dim.symbols();
               return !std::includes(told.begin(), told.end(), symbols.begin(), symbols.end());
             });
    };
    for (bool again = true; again;) {  // an input without a shape tells nothing any more
      again = false;
      told.clear();
      for (const ValueId input : part_.graph.inputs()) tell(input, told);
      for (const ValueId input : part_.graph.inputs()) {
        if (!untold(input)) continue;
        part_.graph.value(input).shape.reset();
        again = true;
      }
    }
    for (const NodeId node : part_.graph.order()) {
      for (const ValueId output : part_.graph.node(node).outputs) {
        if (output.valid() && untold(output)) part_.graph.value(output).shape.reset();
      }
    }
  }

  // What a size that is a symbol, or a constant times one, says of it.
  void tell(ValueId input, std::set<std::string>& told) const {
    for (const Dim& dim : part_.graph.value(input).shape.value_or(Shape{})) {
      if (dim.terms().size() != 1 || dim.terms()[0].coefficient < 1) continue;
      const std::vector<Dim::Atom>& factors = dim.terms()[0].factors;
      if (factors.size() == 1 && factors[0].kind == Dim::Atom::Kind::kSymbol)
        told.insert(factors[0].name);
    }
  }

  const Model& from_;
  Model part_;
  std::vector<ValueId> values_;    // by the original's value
  std::vector<WeightId> weights_;  // by the original's weight
  std::vector<bool> needed_;       // by the original's node
  std::vector<bool> read_;         // by the original's value: a needed node or its bodies read it
};

}  // namespace

Model extract(const Model& model, std::span<const ValueId> inputs,
              std::span<const ValueId> outputs) {
  return Extraction(model).run(inputs, outputs);
}

}  // namespace thimble::ir
