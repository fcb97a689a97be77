#include "passes/quantize/residual_stream.h"

#include <algorithm>
#include <map>
#include <set>

#include "passes/quantize/rewritten.h"

namespace thimble::passes {
namespace {

using ir::NodeId;
using ir::ValueId;

using Uses = std::map<std::uint32_t, ir::WeightUse>;  // by weight

class Finder {
 public:
  Finder(const ir::Model& model, const Uses& uses)
      : model_(model), graph_(model.graph), uses_(uses) {}

  ResidualStream run(ValueId start) {
    stream_.width = *graph_.value(start).shape->back().constant();
    enter(start);
    for (std::size_t i = 0; i < stream_.values.size() && stream_.obstacle.empty(); ++i) {
      const ValueId value = stream_.values[i];
      if (graph_.is_output(value) || ir::is_captured(model_, graph_, value))
        refuse("'" + graph_.value(value).name + "' of it leaves the graph");
      written_by(value);
      for (const NodeId user : graph_.users(value)) read_by(user, value);
    }
    check_readers();
    return std::move(stream_);
  }

 private:
  void refuse(std::string why) {
    if (stream_.obstacle.empty()) stream_.obstacle = std::move(why);
  }
  void enter(ValueId value) {
    const auto& shape = graph_.value(value).shape;
    if (!shape || shape->empty() || shape->back().constant() != stream_.width)
      return refuse("'" + graph_.value(value).name + "' of it has another width");
    if (seen_.insert(value).second) stream_.values.push_back(value);
  }
  bool is_constant(ValueId value) const { return graph_.value(value).weight.valid(); }
  bool is_scalar(ValueId value) const {
    return is_constant(value) && model_.weight(graph_.value(value).weight).element_count() == 1;
  }
  bool spans_width(ValueId value) const {
    const ir::Weight& weight = model_.weight(graph_.value(value).weight);
    return is_rewritable(weight) && weight.dims.back() == stream_.width;
  }
  bool gathers_rows(const ir::Node& node) const {
    const auto& shape = graph_.value(node.inputs[0]).shape;
    const std::int64_t axis = node.integer("axis", 0);
    return node.is("Gather") && shape && shape->size() >= 2 && axis != -1 &&
           axis + 1 != std::ssize(*shape);
  }
  bool is_norm(const ir::Node& node) const {
    return node.is("RMSNormalization") || node.is("LayerNormalization");
  }
  std::string name(const ir::Node& node) const { return "'" + node.name + "' (" + node.op + ")"; }

  void written_by(ValueId value) {
    const NodeId id = graph_.value(value).producer;
    if (!id.valid()) return refuse("'" + graph_.value(value).name + "' of it comes from outside");
    const ir::Node& node = graph_.node(id);
    if (node.is("Add") || node.is("Sub")) return sum(id, node);
    if ((node.is("Mul") || node.is("Div")) && is_scalar(node.inputs[1]))
      return enter(node.inputs[0]);
    if (node.is("Mul") && is_scalar(node.inputs[0])) return enter(node.inputs[1]);
    if (node.is("Identity")) return enter(node.inputs[0]);
    if (node.is("Gather") && is_constant(node.inputs[0])) return table(id, node);
    if (gathers_rows(node)) return enter(node.inputs[0]);
    if (is_norm(node)) return stream_.norm_results.push_back(value);
    if (const auto linear = ir::match_linear(model_, id)) return product(*linear, node);
    refuse(name(node) + " writes it");
  }

  void sum(NodeId id, const ir::Node& node) {
    for (std::size_t side = 0; side < 2; ++side) {
      if (!is_constant(node.inputs[side])) {
        enter(node.inputs[side]);
      } else if (spans_width(node.inputs[side])) {
        stream_.constants.push_back({id, side});
      } else {
        refuse(name(node) + " adds a constant of another width to it");
      }
    }
  }

  void table(NodeId id, const ir::Node& node) {
    const ir::WeightId weight = graph_.value(node.inputs[0]).weight;
    const auto use = uses_.find(weight.index);
    if (use == uses_.end() || node.integer("axis", 0) != 0)
      return refuse("the embedding of " + name(node) + " has other readers");
    if (!is_rewritable(model_.weight(weight)))
      return refuse("'" + model_.weight(weight).name + "' is quantized already");
    const auto& nodes = use->second.nodes;
    const bool tied = std::any_of(nodes.begin(), nodes.end(), [&](NodeId other) {
      return ir::match_linear(model_, other).has_value();
    });
    if (tied) return stream_.tied_gathers.push_back(id);
    if (std::find(stream_.tables.begin(), stream_.tables.end(), weight) == stream_.tables.end())
      stream_.tables.push_back(weight);
  }

  bool own_product(const ir::Linear& linear) {
    const ir::Weight& weight = model_.weight(linear.weight);
    const auto use = uses_.find(linear.weight.index);
    if (use == uses_.end() || use->second.nodes.size() != 1 || use->second.gathered) {
      refuse("'" + weight.name + "' is shared");
      return false;
    }
    if (!is_rewritable(weight)) {
      refuse("'" + weight.name + "' is quantized already");
      return false;
    }
    return true;
  }

  void product(const ir::Linear& linear, const ir::Node& node) {
    if (!own_product(linear)) return;
    stream_.products.push_back(linear);
    if (!node.is("Gemm") || node.inputs.size() < 3 || !node.inputs[2].valid()) return;
    if (!is_constant(node.inputs[2]) || !spans_width(node.inputs[2]))
      return refuse("the bias of " + name(node) + " is no vector");
    stream_.constants.push_back({linear.product, 2});
  }

  void read_by(NodeId id, ValueId value) {
    const ir::Node& node = graph_.node(id);
    if (is_norm(node) && node.inputs[0] == value) return norm(id, node);
    if (const auto linear = ir::match_linear(model_, id); linear && linear->input == value) {
      if (own_product(*linear)) stream_.direct.push_back(*linear);
      return;
    }
    const bool scaled = (node.is("Mul") || node.is("Div")) && is_scalar(node.inputs[1]);
    const bool first_scaled = node.is("Mul") && is_scalar(node.inputs[0]);
    const bool carries = node.is("Add") || node.is("Sub") || scaled || first_scaled ||
                         node.is("Identity") || (gathers_rows(node) && node.inputs[0] == value);
    if (!carries) return refuse(name(node) + " reads it");
    enter(node.outputs[0]);
  }

  void norm(NodeId id, const ir::Node& node) {
    for (const NormReader& known : stream_.norms) {
      if (known.norm == id) return;
    }
    const std::int64_t axis = node.integer("axis", -1);
    const auto rank = std::ssize(*graph_.value(node.inputs[0]).shape);
    if (axis != -1 && axis + 1 != rank) return refuse(name(node) + " is over several dims");
    for (std::size_t i = 1; i < node.inputs.size(); ++i) {
      if (node.inputs[i].valid() && (!is_constant(node.inputs[i]) || !spans_width(node.inputs[i])))
        return refuse(name(node) + " has a gain or bias that is no vector");
    }
    if (std::any_of(node.outputs.begin() + 1, node.outputs.end(),
                    [](ValueId output) { return output.valid(); }))
      return refuse(name(node) + " gives more than its result");
    NormReader reader{id, {}, false};
    collect(node.outputs[0], node, reader, 0);
    const auto tied = std::count_if(
        reader.products.begin(), reader.products.end(),
        [&](const ir::Linear& linear) { return uses_.at(linear.weight.index).gathered; });
    reader.tied = tied > 0;
    if (tied > 0 && tied < std::ssize(reader.products))
      return refuse("a tied embedding and other products read " + name(node));
    if (tied == 0) {
      for (const ir::Linear& linear : reader.products) {
        if (!own_product(linear)) return;
      }
    }
    stream_.norms.push_back(std::move(reader));
  }

  void collect(ValueId value, const ir::Node& norm, NormReader& reader, int depth) {
    if (graph_.is_output(value) || ir::is_captured(model_, graph_, value))
      return refuse("the result of " + name(norm) + " leaves the graph");
    for (const NodeId user : graph_.users(value)) {
      const ir::Node& node = graph_.node(user);
      const auto linear = ir::match_linear(model_, user);
      if (linear && linear->input == value && uses_.contains(linear->weight.index)) {
        reader.products.push_back(*linear);
      } else if (gathers_rows(node) && node.inputs[0] == value && depth == 0) {
        collect(node.outputs[0], norm, reader, 1);
      } else {
        refuse("the result of " + name(norm) + " goes into " + name(node) +
               ", past which its gain cannot be folded");
      }
    }
  }

  void check_readers() {
    for (const NormReader& reader : stream_.norms) {
      const bool centred = graph_.node(reader.norm).is("LayerNormalization");
      if (&reader == &stream_.norms.front()) stream_.centred = centred;
      if (centred != stream_.centred) refuse("norms of both kinds read it");
    }
    if (stream_.norms.empty()) refuse("no norm reads it");
    if (stream_.centred && !stream_.direct.empty())
      refuse("products read it without the norm that subtracts its mean");
    std::set<std::uint32_t> tied;
    for (const NodeId gather : stream_.tied_gathers)
      tied.insert(graph_.value(graph_.node(gather).inputs[0]).weight.index);
    for (const NormReader& reader : stream_.norms) {
      for (const ir::Linear& linear : reader.products) {
        if (reader.tied && !tied.contains(linear.weight.index))
          refuse("'" + model_.weight(linear.weight).name + "' is tied to another stream");
      }
    }
  }

  const ir::Model& model_;
  const ir::Graph& graph_;
  const Uses& uses_;
  std::set<ValueId> seen_;
  ResidualStream stream_;
};

}  // namespace

std::vector<ResidualStream> find_residual_streams(const ir::Model& model) {
  Uses uses;
  for (ir::WeightUse& use : ir::quantizable_weights(model)) {
    const std::uint32_t index = use.weight.index;
    uses.emplace(index, std::move(use));
  }
  std::vector<ResidualStream> streams;
  std::set<ValueId> seen;
  for (const NodeId id : model.graph.order()) {
    const ir::Node& node = model.graph.node(id);
    if (!node.is("Gather") || !node.inputs[0].valid()) continue;
    const auto use = uses.find(model.graph.value(node.inputs[0]).weight.index);
    const auto& shape = model.graph.value(node.outputs[0]).shape;
    const bool table = use != uses.end() && use->second.gathered;
    if (!table || !shape || shape->empty() || !shape->back().constant()) continue;
    if (seen.contains(node.outputs[0])) continue;
    streams.push_back(Finder(model, uses).run(node.outputs[0]));
    seen.insert(streams.back().values.begin(), streams.back().values.end());
  }
  return streams;
}

}  // namespace thimble::passes
