#pragma once
// ModelInfo to ir::Model: names become ids, constants become weights, model-local functions are
// inlined, floats of 16 bits are lifted to f32, bodies of If, Loop and Scan become graphs that
// capture what they read of the graphs around them.
//
// Lifting: in the IR a float of 16 bits is how a number is stored, not a type that is computed
// with. A graph input of f16 or bf16 is followed by a Cast to f32, an output is cast back, and a
// Cast to such a type becomes two, so that its rounding is kept. Inside bodies everything is f32.

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "formats/onnx/proto.h"
#include "formats/onnx/tensors.h"
#include "ir/model.h"

namespace thimble::formats::onnx {

class GraphBuilder {
 public:
  // `info` and what `files` maps outlive the builder. Fills model.graph, graphs and weights.
  GraphBuilder(const ModelInfo& info, TensorFiles& files, ir::Model& model);
  Status run();

 private:
  // What a name of the file stands for.
  struct Binding {
    enum class Kind : std::uint8_t { kValue, kConstant, kRefused };
    Kind kind = Kind::kValue;
    ir::ValueId value;           // kValue, of the scope's graph
    std::uint32_t constant = 0;  // kConstant, index in constants_
    std::string_view refusal;    // kRefused: what it is that we don't support, if it gets used
    ir::DType half = ir::DType::kUndefined;  // the 16-bit float that the file says it is, if known
    bool captured = false;                   // belongs to a scope around
  };
  // A constant of the file: becomes a weight when it is used, one however often.
  struct Constant {
    const TensorInfo* tensor = nullptr;  // null: the weight is there already
    std::string name;
    ir::WeightId weight;
  };
  // A graph that is being built.
  struct Frame {
    ir::Graph graph;
    std::unordered_map<std::uint32_t, ir::ValueId> constants;
  };
  // A call of a model-local function that is being inlined.
  struct Call {
    const FunctionInfo* function = nullptr;
    const Call* caller = nullptr;
    int depth = 1;
    std::string prefix;  // of the names inside
    std::map<std::string_view, const AttributeInfo*> attributes;
    std::map<std::string_view, std::string> output_names;  // by the function's name for an output
  };
  // Where names are looked up. A body sees the scope around it; a function sees only itself.
  struct Scope {
    Frame& frame;
    Scope* outer = nullptr;
    const Call* call = nullptr;
    std::unordered_map<std::string_view, Binding> names;
  };

  // graph.cpp
  Status add_initializers(const GraphInfo& info, Scope& scope);
  Status add_main_inputs(const GraphInfo& info, Scope& scope);
  Status add_main_outputs(const GraphInfo& info, Scope& scope);
  Expected<ir::ValueId> main_output(const ValueInfo& output, Scope& scope);
  Expected<ir::GraphId> add_body(const GraphInfo& info, Scope& around);
  Status add_body_input(const ValueInfo& input, Scope& scope);
  ir::Dim dimension(const Dimension& dim, std::string_view value, std::size_t index);
  std::string symbol(std::string_view wanted);
  std::optional<ir::Shape> output_shape(const ValueInfo& output);
  std::string fresh(std::string_view wanted) const;  // a name that the main graph doesn't use

  // scope.cpp
  Expected<Binding> find(std::string_view name, Scope& scope);
  Expected<ir::ValueId> use(std::string_view name, Scope& scope);
  // The same for an output of a graph, which can't be absent.
  Expected<ir::ValueId> computed(std::string_view name, Scope& scope);
  Expected<ir::ValueId> value_of(const Binding& binding, Frame& frame);
  Status define(std::string_view name, Binding binding, Scope& scope);
  Binding capture(const Binding& outer, Frame& from, Frame& into);
  std::uint32_t add_constant(const void* key, Constant constant);
  Expected<ir::WeightId> weight_of_constant(Constant& constant);
  // The name that a result gets in its graph.
  std::string result_name(std::string_view name, const Scope& scope) const;

  // node.cpp
  Status add_nodes(const std::vector<NodeInfo>& nodes, Scope& scope);
  Status add_node(const NodeInfo& node, Scope& scope);
  Status add_plain_node(const NodeInfo& node, Scope& scope);
  Status add_constant_node(const NodeInfo& node, Scope& scope);
  Expected<Binding> bind_constant(const AttributeInfo& attribute, const std::string& name);
  Status add_half_cast(const NodeInfo& node, ir::DType half, Scope& scope);
  Expected<ir::DType> half_cast_type(const NodeInfo& node, Scope& scope);
  ir::DType half_of_results(const NodeInfo& node, Scope& scope);
  // The attribute that is meant: itself, or the caller's that it refers to; null when that one is
  // absent.
  Expected<const AttributeInfo*> resolve(const AttributeInfo& attribute, const Scope& scope) const;
  Expected<ir::AttributeValue> attribute_value(const NodeInfo& node, const AttributeInfo& attribute,
                                               std::string_view name, Scope& scope);
  Expected<ir::WeightId> attribute_weight(const NodeInfo& node, const AttributeInfo& attribute);
  ir::ValueId cast(Frame& frame, ir::ValueId value, ir::DType type, const std::string& node_name,
                   const std::string& result);

  // inline.cpp
  const FunctionInfo* function_of(const NodeInfo& node) const;
  Status inline_call(const NodeInfo& node, const FunctionInfo& function, Scope& scope);
  Status check_call(const NodeInfo& node, const FunctionInfo& function, const Scope& scope) const;
  Status bind_attributes(const NodeInfo& node, const Scope& scope, Call& call) const;
  Status spend(const NodeInfo& node);

  const ModelInfo& info_;
  TensorFiles& files_;
  ir::Model& model_;
  std::vector<Constant> constants_;
  std::unordered_map<const void*, std::uint32_t> constant_of_;  // by TensorInfo or AttributeInfo
  std::unordered_set<std::string_view> main_names_;
  std::unordered_map<std::string_view, ir::DType> half_outputs_;  // of the main graph
  std::unordered_map<std::string_view, ir::ValueId> main_inputs_;
  std::map<std::string, std::string> symbols_;  // by dim_param
  std::unordered_set<std::string> taken_symbols_;
  std::map<std::pair<std::string_view, std::string_view>, std::vector<const FunctionInfo*>>
      functions_;                    // by domain and name
  std::uint64_t calls_ = 0;          // inlined so far
  std::uint64_t inlined_bytes_ = 0;  // of their nodes, about
};

// f16 or bf16?
inline bool is_half(ir::DType type) { return type == ir::DType::kF16 || type == ir::DType::kBF16; }

}  // namespace thimble::formats::onnx
