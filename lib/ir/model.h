#pragma once
// A model on its way through: graph, weights, and what else travels with it.

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "ir/weight.h"

namespace thimble::ir {

// A graph input that carries what a graph output produced in the call before: a KV cache, an LSTM
// state. For KV caches the runtime appends in place instead of copying.
struct State {
  std::string input;
  std::string output;
};

struct GenerationConfig {
  std::vector<std::int64_t> eos_token_ids;
  std::optional<std::int64_t> bos_token_id;
  std::optional<std::int64_t> pad_token_id;
  std::optional<float> temperature;
  std::optional<std::int64_t> top_k;
  std::optional<float> top_p;
  std::optional<float> repetition_penalty;
};

// What the model is for, and so which commands apply to it.
enum class Task { kTensors, kGenerate, kEmbed };
enum class Pooling { kNone, kMean, kCls };

struct Model {
  Graph graph;
  std::vector<Graph> graphs;    // bodies of If, Loop, Scan
  std::vector<Weight> weights;  // by WeightId; erased ones have an empty source and no name
  std::uint64_t original_parameters = 0;  // as parameter_count() found them when it was read
  std::vector<State> states;
  Task task = Task::kTensors;
  std::int64_t max_context = 0;      // positions that the model was trained for; 0: no limit known
  Pooling pooling = Pooling::kNone;  // kEmbed: how tokens become a sentence (in the graph already)
  std::vector<std::byte> tokenizer;  // compiled tables (lib/tokenizer); empty: none
  std::string chat_template;         // the source's own, never executed
  GenerationConfig generation;
  std::string architecture;  // "LlamaForCausalLM"
  std::string source_path;
  std::vector<std::string> source_files;  // that it was read from, all of them, in a fixed order
  std::string source_format;              // "huggingface", "gguf", "safetensors", "thimble"
  // config.json values that writers need, licence, ...
  std::map<std::string, std::string> metadata;

  WeightId add_weight(Weight weight);
  const Weight& weight(WeightId id) const;
  Weight& weight(WeightId id);
  // The constant value of a weight in the main graph, added on first use: uses share it. Its type
  // is constant_type(*this, weight).
  ValueId constant(WeightId id);
  ValueId constant(Weight weight);  // of a new weight, of its name
  // Of the original float model, shared ones once, whatever passes made of its weights.
  std::uint64_t parameter_count() const;
  std::uint64_t weight_bytes() const;  // of weights that are alive
};

// The same in any graph of the model.
ValueId constant_in(const Model& model, Graph& graph, WeightId id);
ValueId add_constant(Model& model, Graph& graph, Weight weight);

// The type of a weight's value in a graph. How its numbers are stored doesn't show: a float of any
// width, and any encoded weight, is f32 to those who use it. Integers and bools are what they are.
// A graph that came from ONNX tells f64 and floats of 8 bits or fewer from f32, so there dense
// weights of these keep their type.
DType constant_type(const Model& model, const Weight& weight);

// Edits of a value that bodies of the graph's nodes may capture: captures follow, at every level.
// `graph` is the model's main graph or one of its bodies. A taken name gets a suffix.
void rename(Model& model, Graph& graph, ValueId value, std::string name);
// In nodes, in graph outputs and in captures.
void replace_uses(Model& model, Graph& graph, ValueId from, ValueId to);
// Does a body of one of the graph's nodes capture it?
bool is_captured(const Model& model, const Graph& graph, ValueId value);
// Drops constants that no node reads, here or in a body.
void erase_unused_constants(const Model& model, Graph& graph);
// The bodies of a node: its attributes that are graphs.
std::vector<GraphId> bodies(const Node& node);
// What a node of the graph reads: its inputs, and the values that its bodies capture.
std::vector<ValueId> reads_of(const Model& model, const Graph& graph, const Node& node);

// Every rule that a graph must keep: ids in range, order topological, one producer, attributes and
// inputs as the operator's schema says, weights' shapes as the values', encodings legal for their
// dims. A failure is a bug of whoever built the graph; formats call it on what they built from a
// file, too.
Status verify(const Model& model);

// Fills dtype and shape of every value from the inputs' shapes. An operator without a shape
// function, or shapes that can't be, is an error that names the node.
Status infer_shapes(Model& model);

// The text form; parse(print(m)) gives the same graph (weights come back with their declared shapes
// and encodings and, where the text holds none of their values, no source).
std::string print(const Model& model);
Expected<Model> parse(std::string_view text, std::string_view file_name = "<text>");

}  // namespace thimble::ir
