#pragma once
// The state of one lowering, shared by the files that lower one family of operators each.

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ir/match.h"
#include "ir/model.h"
#include "lower/lower.h"

namespace thimble::lower {

class Lowering {
 public:
  explicit Lowering(const ir::Model& model)
      : model_(model), done_(model.graph.node_capacity(), false) {}
  Expected<Lowered> run();

  const ir::Model& model() const { return model_; }
  const ir::Graph& graph() const { return model_.graph; }
  program::Program& program() { return out_.program; }

  // A node that another instruction took care of.
  void mark_done(ir::NodeId node) { done_[node.index] = true; }
  bool is_done(ir::NodeId node) const { return done_[node.index]; }

  // The slot of a value, made on first use; constants become tensors in their plain form (small
  // floats as f32, integers and gathered tables as they are). -1 for an absent value.
  Expected<std::int32_t> slot(ir::ValueId value);
  bool has_slot(ir::ValueId value) const { return slots_.contains(value.index); }
  // Makes `value` another name of the slot that `source` has (Identity, no-op casts).
  void alias(ir::ValueId value, std::int32_t slot) { slots_[value.index] = slot; }
  // The slot of a constant as the weight of a product: W [N, K] row-major or in tiles.
  Expected<std::int32_t> weight_slot(const ir::Linear& linear);
  Expected<program::Size> size(const ir::Dim& dim);

  program::Instruction& emit(program::Op op, const ir::Node& node, std::vector<std::int32_t> inputs,
                             std::vector<std::int32_t> outputs);
  // The common case: every input and output of the node in order.
  Status emit_plain(program::Op op, const ir::Node& node,
                    std::vector<program::Attribute> attributes = {});

  // Static facts.
  const ir::Shape* shape(ir::ValueId value) const;
  std::optional<std::vector<std::int64_t>> constant_integers(ir::ValueId value) const;
  std::optional<float> constant_scalar(ir::ValueId value) const;  // a f32 constant of one element
  // The only node that reads `value`, when there is exactly one and the graph doesn't output it.
  std::optional<ir::NodeId> only_user(ir::ValueId value) const;
  bool needed(ir::NodeId node) const { return needed_[node.index]; }

 private:
  void mark_needed();
  Status lower_inputs();
  Status lower_node(ir::NodeId id);
  Status finish_states();
  Expected<std::int32_t> add_constant(ir::ValueId value);
  std::int32_t add_tensor(program::Tensor tensor, std::unique_ptr<Payload> payload);
  Expected<std::int32_t> constant_slot(ir::ValueId value, std::int32_t tensor);
  Expected<program::Slot> describe(ir::ValueId value);

  const ir::Model& model_;
  Lowered out_;
  std::vector<bool> done_;
  std::vector<bool> needed_;
  std::unordered_map<std::uint32_t, std::int32_t> slots_;         // by value
  std::unordered_map<std::uint32_t, std::int32_t> linear_slots_;  // by weight * 2 + transposed
};

program::Attribute ints(std::string name, std::vector<std::int64_t> values);
program::Attribute floats(std::string name, std::vector<float> values);

// One operator's lowering. Returns an error that names what cannot be.
using Handler = Status (*)(Lowering&, ir::NodeId, const ir::Node&);
Handler find_handler(std::string_view op, std::string_view domain);

// The instruction that is the node's operator itself, with its inputs and attributes (direct.cpp).
Status lower_direct(Lowering& lowering, ir::NodeId, const ir::Node& node);

// Families; each returns nullptr for operators it doesn't know.
Handler linear_handler(std::string_view op, std::string_view domain);       // linear.cpp
Handler elementwise_handler(std::string_view op, std::string_view domain);  // elementwise.cpp
Handler shape_handler(std::string_view op, std::string_view domain);        // shape.cpp
Handler network_handler(std::string_view op,
                        std::string_view domain);  // network.cpp: norms, rotary, attention

// Inputs that say a shape rather than carry data: lowering reads the inferred shape instead.
bool is_shape_input(const ir::Node& node, std::size_t input);

}  // namespace thimble::lower
