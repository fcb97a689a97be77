#pragma once
// One node under rewriting: what upgrade and contrib adapters need to see of it and may do to it.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/model.h"

namespace thimble::formats::onnx {

using Inputs = std::vector<ir::ValueId>;
using Attributes = std::vector<ir::Attribute>;

// New nodes stand right before the node, carry its name, and their results are named after the
// node's first result. A node that was replaced is gone: see alive().
class Rewriter {
 public:
  Rewriter(ir::Model& model, ir::Graph& graph, ir::NodeId id, std::int64_t opset)
      : opset(opset), model_(model), graph_(graph), id_(id) {}

  const std::int64_t opset;  // of the default domain, as the file declares it

  const ir::Node& node() const { return graph_.node(id_); }
  bool alive() const { return graph_.alive(id_); }
  ir::Model& model() { return model_; }
  ir::Graph& graph() { return graph_; }
  const ir::Graph& graph() const { return graph_; }

  ir::ValueId input(std::size_t index) const;  // invalid when absent
  bool has(std::size_t index) const { return input(index).valid(); }
  bool is_used(std::size_t output) const;  // some node reads it, or it's a graph output
  // Of a value that is a constant or the result of a Constant; null otherwise.
  const ir::Weight* weight_of(ir::ValueId value) const;
  std::optional<std::int64_t> rank_of(ir::ValueId value) const;  // when it's easily known

  void set_input(std::size_t index, ir::ValueId value);  // absent inputs fill a gap
  void drop_inputs_from(std::size_t first);
  void drop_outputs_from(std::size_t first);  // they must be unused
  void set_operator(std::string_view op);     // of the default domain
  void set_attribute(std::string_view name, ir::AttributeValue value);
  void set_default(std::string_view name, ir::AttributeValue value);  // unless it is given
  void drop_attribute(std::string_view name);
  // The attribute's value; the attribute goes. Empty when it's absent or of another kind.
  template <class T>
  std::optional<T> take(std::string_view name);

  ir::ValueId integers(const std::vector<std::int64_t>& values);  // i64[n]
  ir::ValueId integer(std::int64_t value);                        // i64[]
  ir::ValueId real(float value);                                  // f32[]
  ir::ValueId constant(ir::Weight weight);
  // Of a weight that the model has already; an error says in which operator it was wanted.
  Expected<ir::ValueId> constant(const Expected<ir::WeightId>& weight);
  ir::ValueId emit(std::string_view op, const Inputs& inputs, Attributes attributes = {});
  std::vector<ir::ValueId> emit_many(std::string_view op, const Inputs& inputs,
                                     Attributes attributes, std::size_t results);
  // The values take over the node's results, uses and names, and the node goes. Values must be
  // results of new nodes; an invalid one stands for a result that is unused.
  void replace(const std::vector<ir::ValueId>& values);

  Error refuse(std::string why) const;  // unsupported: "operator OP: WHY", at the node

 private:
  std::string new_name(std::string_view op) const;

  ir::Model& model_;
  ir::Graph& graph_;
  ir::NodeId id_;
};

template <class T>
std::optional<T> Rewriter::take(std::string_view name) {
  const ir::AttributeValue* found = node().find(name);
  if (found == nullptr || std::get_if<T>(found) == nullptr) return std::nullopt;
  T value = *std::get_if<T>(found);
  drop_attribute(name);
  return value;
}

// A row of a table of adapters.
struct Adapter {
  std::string_view op;
  std::int64_t below;  // applies to files of an older opset than this
  Status (*rewrite)(Rewriter&);
};

}  // namespace thimble::formats::onnx
