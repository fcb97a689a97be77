#pragma once
// Views of a graph that passes and lowering share: what a product with a weight looks like, and
// what part of a network a weight belongs to.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/model.h"

namespace thimble::ir {

// y = x W^T (+ b). Three spellings are one thing: MatMul with a weight [K, N], MatMul with
// Transpose(perm [1, 0]) of a weight [N, K], and Gemm with transB. A following Add of a constant
// vector is the bias.
struct Linear {
  NodeId product;        // MatMul or Gemm
  NodeId transpose;      // of the weight; invalid when there is none
  ValueId input;         // x, [..., K]
  ValueId output;        // of the product itself
  ValueId weight_value;  // the constant
  WeightId weight;
  int axis = 1;             // of the weight's dims: K
  std::int64_t rows = 0;    // N
  std::int64_t inputs = 0;  // K
};
std::optional<Linear> match_linear(const Model& model, NodeId node);
// In a body of the model: its constants are the model's weights.
std::optional<Linear> match_linear(const Model& model, const Graph& graph, NodeId node);

// y = Conv(x, W) (+ b) with a constant W [outputs, channels / group, taps...]: a product of W, seen
// as [outputs, channels / group * taps], with each window of x. Groups share no inputs.
struct Convolution {
  ValueId input;   // x, [batch, channels, spatial...]
  ValueId output;  // [batch, outputs, spatial...]
  ValueId weight_value;
  WeightId weight;
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;  // of one output: channels / group * taps
  std::int64_t group = 1;
};
std::optional<Convolution> match_convolution(const Model& model, NodeId node);
std::optional<Convolution> match_convolution(const Model& model, const Graph& graph, NodeId node);

// The weight [channels, outputs / group, taps...] of a ConvTranspose, if it is a constant of f32.
ValueId transposed_weight(const Model& model, const Graph& graph, const Node& node);

// W [directions, gates * hidden, inputs] and R [directions, gates * hidden, hidden] of an LSTM, GRU
// or RNN, as far as they are constants: each a product of its rows with every step's input or
// state.
std::vector<ValueId> recurrent_weights(const Model& model, const Graph& graph, NodeId node);

// Every weight that some node multiplies or gathers, with its uses. Sorted by the first use.
struct WeightUse {
  WeightId weight;
  GraphId body;  // whose value and nodes these are; invalid: the model's own graph
  ValueId value;
  int axis = 1;               // the inputs axis that an encoding should take
  bool gathered = false;      // an embedding
  bool convolved = false;     // by a Conv or ConvTranspose
  bool recurrent = false;     // W or R of an LSTM, GRU or RNN
  std::vector<NodeId> nodes;  // products, convolutions and Gathers
  std::string operator_name;  // "MatMul", "Gather", ... of the first use
  std::string role;           // "embedding", "lm_head", "attention", "mlp", "" when unknown
  int layer = -1;  // from the name ("layers.7.", "h.7.", "blk.7."); -1 when there is none
};
std::vector<WeightUse> quantizable_weights(const Model& model);
// And those of transposed convolutions, whose rows are their channels of input, and those in bodies
// of If, Loop and Scan, of weights that no other graph reads: for passes that ask for no
// calibration, which doesn't see what goes into these products.
std::vector<WeightUse> quantizable_weights_everywhere(const Model& model);
// The graph that a use's value and nodes are of.
const Graph& graph_of(const Model& model, const WeightUse& use);
Graph& graph_of(Model& model, const WeightUse& use);
// How many layers these weights belong to, counted from the first.
int layer_count(const std::vector<WeightUse>& uses);
// The weight's encoding becomes this one, and its value's type what goes with it.
void set_encoding(Model& model, const WeightUse& use, const Encoding& encoding);

// The layer that a weight's or node's name tells of: 7 in "model.layers.7.mlp", "/h.7/attn" or
// "blk.7.ffn_up"; -1 when it tells of none.
int layer_of(std::string_view name);

}  // namespace thimble::ir
