#pragma once
// The graph: nodes with ONNX semantics over values, by ids that survive edits.
//
// Design goals: no pointer into the graph outlives an edit (ids do); order of nodes is always a
// valid topological order; a weight used twice is one weight. Non-goals: several producers per
// value, cycles.

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "ir/dim.h"
#include "ir/dtype.h"

namespace thimble::ir {

template <class Tag>
struct Id {
  static constexpr std::uint32_t kNone = 0xffffffffu;
  std::uint32_t index = kNone;
  bool valid() const { return index != kNone; }
  bool operator==(const Id&) const = default;
  auto operator<=>(const Id&) const = default;
};
using NodeId = Id<struct NodeTag>;
using ValueId = Id<struct ValueTag>;
using WeightId = Id<struct WeightTag>;  // into Model::weights
using GraphId = Id<struct GraphTag>;    // into Model::graphs, for If, Loop and Scan bodies

using AttributeValue =
    std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>, std::vector<float>,
                 std::vector<std::string>, WeightId, GraphId>;
struct Attribute {
  std::string name;
  AttributeValue value;
  bool operator==(const Attribute&) const = default;
};

// How the values that flow through here are written when a quantized product reads them.
enum class ActivationScheme : std::uint8_t {
  kFloat,      // f32
  kInt8,       // int8 with a scale per token and 32 inputs, computed on the fly
  kInt16,      // two int8 planes: about 16 bits
  kStatic,     // int8 with one scale and zero for the whole value, known beforehand
  kInt8Token,  // int8 with a scale per token, computed on the fly
};

// kStatic: x = scale * (q - zero), q in -127..127; what lies outside is cut off.
struct StaticScale {
  float scale = 1;  // > 0, finite
  std::int32_t zero = 0;
  bool operator==(const StaticScale&) const = default;
};

struct Value {
  std::string name;  // unique in its graph
  DType dtype = DType::kUndefined;
  std::optional<Shape> shape;  // nullopt: unknown rank
  WeightId weight;             // set for constants
  NodeId producer;             // set for results of nodes
  ActivationScheme activation = ActivationScheme::kFloat;
  StaticScale static_scale;  // of kStatic
};

struct Node {
  std::string domain;                 // "" is ai.onnx; "thimble" is ours
  std::string op;                     // "MatMul"
  std::string name;                   // of the source model, for reports; may repeat
  std::vector<ValueId> inputs;        // an invalid id is an absent optional input
  std::vector<ValueId> outputs;       // an invalid id is an unused optional output
  std::vector<Attribute> attributes;  // sorted by name

  const AttributeValue* find(std::string_view attribute) const;
  std::int64_t integer(std::string_view attribute, std::int64_t fallback) const;
  float real(std::string_view attribute, float fallback) const;
  std::string_view text(std::string_view attribute, std::string_view fallback) const;
  std::vector<std::int64_t> integers(std::string_view attribute) const;  // empty when absent
  bool is(std::string_view op_type, std::string_view op_domain = "") const {
    return op == op_type && domain == op_domain;
  }
};

class Graph {
 public:
  std::string name;

  ValueId add_input(std::string name, DType dtype, std::optional<Shape> shape);
  // A value that stands for the value of the same name in the graph that encloses this body (there
  // it may be a capture in turn). Names link the two: edits of the outer graph go through
  // ir::rename and ir::replace_uses (model.h). If the name is taken here, the other value gets a
  // suffix.
  ValueId add_capture(std::string name, DType dtype, std::optional<Shape> shape);
  ValueId add_constant(WeightId weight, std::string name, DType dtype, Shape shape);
  // Appends a node with `output_names.size()` fresh results (empty name: absent result; a taken
  // name gets a suffix). Attributes are sorted.
  NodeId add_node(Node node, const std::vector<std::string>& output_names);
  // The same, placed before an existing node.
  NodeId insert_before(NodeId place, Node node, const std::vector<std::string>& output_names);
  void set_outputs(std::vector<ValueId> outputs) { outputs_ = std::move(outputs); }
  // change(Node&), which may change all but the results.
  template <class F>
  void edit(NodeId node, F change) {
    forget_inputs(node);
    change(nodes_[node.index].node);
    note_inputs(node);
  }
  void set_input(NodeId node, std::size_t index, ValueId value);
  void replace_inputs(NodeId node, ValueId from, ValueId to);

  void erase(NodeId node);  // its results must be unused
  void erase_unused_constants();
  void erase_input(ValueId input);               // must be unused
  void erase_capture(ValueId capture);           // must be unused
  void replace_uses(ValueId from, ValueId to);   // in nodes and graph outputs
  void rename(ValueId value, std::string name);  // a taken name gets a suffix

  const std::vector<ValueId>& inputs() const { return inputs_; }
  const std::vector<ValueId>& outputs() const { return outputs_; }
  const std::vector<ValueId>& captures() const { return captures_; }
  std::vector<NodeId> order() const;  // live nodes, topologically sorted
  std::vector<ValueId> constants() const;

  // References are valid until the next edit of the graph.
  const Node& node(NodeId id) const;
  const Value& value(ValueId id) const;
  Value& value(ValueId id);
  bool alive(NodeId id) const;
  bool alive(ValueId id) const;
  std::optional<ValueId> find_value(std::string_view name) const;

  std::vector<NodeId> users(ValueId value) const;  // in order, each once; graph outputs not counted
  bool is_output(ValueId value) const;
  std::size_t value_capacity() const { return values_.size(); }  // ids are below this
  std::size_t node_capacity() const { return nodes_.size(); }

 private:
  struct NodeSlot {
    Node node;
    bool alive = true;
    std::uint64_t place = 0;  // grows along the order
  };
  struct ValueSlot {
    Value value;
    bool alive = true;
    std::vector<NodeId> readers;  // in any order, once for each input that reads it
  };
  std::string unique_name(std::string_view wanted) const;
  ValueId new_value(Value value);
  void erase_from(std::vector<ValueId>& list, ValueId value);
  NodeId place_node(std::vector<NodeId>::const_iterator place, Node node,
                    const std::vector<std::string>& output_names);
  std::vector<NodeId>::const_iterator position(NodeId node) const;
  std::uint64_t place_between(std::vector<NodeId>::const_iterator next);
  void note_inputs(NodeId node);
  void forget_inputs(NodeId node);

  std::vector<NodeSlot> nodes_;
  std::vector<ValueSlot> values_;
  std::vector<NodeId> order_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
  std::vector<ValueId> captures_;
  std::unordered_map<std::string, ValueId> names_;
};

}  // namespace thimble::ir
