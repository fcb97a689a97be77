#pragma once
// The state of one lowering, shared by the files that lower one family of operators each.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "ir/match.h"
#include "ir/model.h"
#include "lower/lower.h"

namespace thimble::lower {

class Lowering {
 public:
  explicit Lowering(const ir::Model& model) : model_(model) {}
  Expected<Lowered> run();

  const ir::Model& model() const { return model_; }
  const ir::Graph& graph() const { return scope().graph; }  // the one that is being lowered
  program::Program& program() { return out_.program; }

  // A node that another instruction took care of.
  void mark_done(ir::NodeId node) { scope().done[node.index] = true; }
  bool is_done(ir::NodeId node) const { return scope().done[node.index]; }

  // The slot of a value, made on first use; constants become tensors in their plain form (small
  // floats as f32, integers and gathered tables as they are). -1 for an absent value.
  Expected<std::int32_t> slot(ir::ValueId value);
  bool has_slot(ir::ValueId value) const { return scope().slots.contains(value.index); }
  // Makes `value` another name of the slot that `source` has (Identity, no-op casts).
  void alias(ir::ValueId value, std::int32_t slot) { scope().slots[value.index] = slot; }
  // The slot of a constant as the weight of a product: W [N, K] row-major or in tiles.
  Expected<std::int32_t> weight_slot(const ir::Linear& linear);
  // The slot of a quantized constant as plain f32, for instructions that read no tiles.
  std::int32_t decoded_slot(ir::ValueId value);
  // The same for a convolution's weight, in tiles where they are smaller: a session decodes it.
  Expected<std::int32_t> kernel_slot(ir::ValueId value);
  // A slot, named after `value`, of a constant that the payload holds.
  std::int32_t add_constant_slot(ir::ValueId value, program::Tensor tensor,
                                 std::unique_ptr<Payload> payload);
  // Does the node compute on 8-bit codes (codes.cpp)? Values that such nodes give have no slot of
  // floats but where another node reads them.
  bool on_codes(ir::NodeId node) const;
  Status lower_on_codes(ir::NodeId node);
  // The slot of a value's codes; made of its floats where none of these nodes gives them.
  Expected<std::int32_t> code_slot(const ir::Node& reader, ir::ValueId value);
  // Does the node read the value as its fixed scale has it, from a slot of floats (rounding.cpp)?
  bool reads_rounded(ir::NodeId reader, ir::ValueId x) const;
  // A slot of codes, channels last, with the value's dims.
  Expected<std::int32_t> plain_code_slot(ir::ValueId value, const char* suffix);
  // Weights in panels, by weight and outputs of a group.
  std::map<std::pair<std::uint32_t, std::int64_t>, std::int32_t>& panel_slots() {
    return panel_slots_;
  }
  Expected<program::Size> size(const ir::Dim& dim);

  program::Instruction& emit(program::Op op, const ir::Node& node, std::vector<std::int32_t> inputs,
                             std::vector<std::int32_t> outputs);
  // The common case: every input and output of the node in order.
  Status emit_plain(program::Op op, const ir::Node& node,
                    std::vector<program::Attribute> attributes = {});

  // The node's attributes as an instruction holds them.
  Expected<std::vector<program::Attribute>> attributes_of(const ir::Node& node) const;

  // A body of If, Loop or Scan as a region; its index.
  Expected<std::int32_t> lower_body(ir::GraphId body);

  // Static facts.
  // The dims that a value's slot is planned with; null where they are found as the model runs:
  // unknown before, or of a value that a body computes.
  const ir::Shape* shape(ir::ValueId value) const;
  // Of an operator with inputs that say sizes, axes or bounds: is all known that its planned
  // instruction (kReshape, kSlice, ...) is made of? If not, the ONNX operator's own instruction
  // reads those inputs as the model runs.
  bool is_planned(const ir::Node& node) const;
  // An input that an instruction needn't read: it says a shape that is known.
  bool skips(const ir::Node& node, std::size_t input) const;
  bool is_constant(ir::ValueId value) const;  // or absent
  bool is_f32(ir::ValueId value) const { return graph().value(value).dtype == ir::DType::kF32; }
  std::optional<std::vector<std::int64_t>> constant_integers(ir::ValueId value) const;
  std::optional<float> constant_scalar(ir::ValueId value) const;  // a f32 constant of one element
  // The constant vector [count] that `sum` adds to `value`, if that is what it does.
  std::optional<ir::ValueId> constant_addend(const ir::Node& sum, ir::ValueId value,
                                             std::int64_t count) const;
  // The only node that reads `value`, when there is exactly one and the graph doesn't output it;
  // none where that node reads it rounded, or as codes.
  std::optional<ir::NodeId> only_user(ir::ValueId value) const;
  bool needed(ir::NodeId node) const { return scope().needed[node.index]; }

 private:
  // One graph on its way: the main one, or a body inside those before it.
  struct Scope {
    explicit Scope(const ir::Graph& g, std::size_t r)
        : graph(g), region(r), done(g.node_capacity()), needed(g.node_capacity()) {}
    const ir::Graph& graph;
    std::size_t region;
    std::vector<bool> done;                                      // by node
    std::vector<bool> needed;                                    // by node
    std::unordered_map<std::uint32_t, std::int32_t> slots;       // by value
    std::unordered_map<std::uint32_t, std::int32_t> code_slots;  // by value
    mutable std::unordered_map<std::uint32_t, bool> on_codes;    // by node
    std::unordered_map<std::uint32_t, std::int32_t> rounded;     // by value
    std::unordered_set<std::uint32_t> decoded;                   // values whose floats were codes
  };
  Scope& scope() { return scopes_.back(); }
  const Scope& scope() const { return scopes_.back(); }
  bool is_entry() const { return scopes_.size() == 1; }

  Status lower_graph();
  Status map_captures();
  bool is_captured(ir::ValueId value) const;  // by a body of this graph
  void mark_needed();
  Status lower_inputs();
  Status lower_node(ir::NodeId id);
  Status lower_with_rounded(ir::NodeId id);
  Expected<std::int32_t> rounded_slot(const ir::Node& reader, ir::ValueId x);
  Status finish_states();
  Expected<std::int32_t> add_constant(ir::ValueId value);
  std::int32_t add_tensor(program::Tensor tensor, std::unique_ptr<Payload> payload);
  std::int32_t add_slot(program::Slot slot);
  Expected<program::Slot> describe(ir::ValueId value);

  const ir::Model& model_;
  Lowered out_;
  std::deque<Scope> scopes_;
  std::map<ir::WeightId, std::int32_t> constant_slots_;  // of weights in their plain form
  // Of weights as products read them, by whether they were transposed to that end, and of gathered
  // tables, which may be such weights too.
  std::map<std::pair<ir::WeightId, bool>, std::int32_t> linear_slots_;
  std::map<ir::WeightId, std::int32_t> decoded_slots_, kernel_slots_;
  std::map<std::pair<std::uint32_t, std::int64_t>, std::int32_t> panel_slots_;
};

program::Attribute ints(std::string name, std::vector<std::int64_t> values);
program::Attribute floats(std::string name, std::vector<float> values);

// How a product with a quantized weight is to write the value that it reads.
std::vector<program::Attribute> activation_attributes(const ir::Value& value);
// Does a convolution with a quantized weight multiply tiles (convolution.cpp)?
bool multiplies_tiles(const ir::Model& model, const ir::Convolution& conv);
// What a node of the default domain does to each element; nothing for other operators.
std::optional<program::UnaryFunction> unary_function(const ir::Node& node);  // elementwise.cpp

// One operator's lowering. Returns an error that names what cannot be.
using Handler = Status (*)(Lowering&, ir::NodeId, const ir::Node&);
Handler find_handler(std::string_view op, std::string_view domain);

// The instruction that is the node's operator itself, with its inputs and attributes (direct.cpp).
Status lower_direct(Lowering& lowering, ir::NodeId, const ir::Node& node);

// Families; each returns nullptr for operators it doesn't know.
Handler linear_handler(std::string_view op, std::string_view domain);  // linear.cpp
Handler integer_product_handler(std::string_view op,
                                std::string_view domain);                   // integer_product.cpp
Handler elementwise_handler(std::string_view op, std::string_view domain);  // elementwise.cpp
Handler shape_handler(std::string_view op, std::string_view domain);        // shape.cpp
Handler control_handler(std::string_view op, std::string_view domain);      // control.cpp
Handler recurrent_handler(std::string_view op, std::string_view domain);    // recurrent.cpp
Handler convolution_handler(std::string_view op, std::string_view domain);  // convolution.cpp
Handler network_handler(std::string_view op,
                        std::string_view domain);  // network.cpp: norms, rotary, attention
// A sum of two values of one shape together with a norm of it, where there is one (network.cpp).
Expected<bool> lower_sum_and_norm(Lowering& lowering, const ir::Node& sum);

}  // namespace thimble::lower
