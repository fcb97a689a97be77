#pragma once
// Values with a fixed scale, rounded to its codes before quantized products and convolutions.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "formats/onnx/writer_emit.h"
#include "support/expected.h"

namespace thimble::formats::onnx {

// What a user should be told of weights, each thing once.
class WriterNotes {
 public:
  void add(const ir::Weight& weight, const std::string& what) {
    weights_[what].insert(weight.name);
  }
  std::vector<std::string> lines() const;

 private:
  std::map<std::string, std::set<std::string>> weights_;  // by what is to be said
};

class FixedActivations {
 public:
  // All live as long as this.
  FixedActivations(ir::Model& model, Emitter& emit, WriterNotes& notes)
      : model_(model), emit_(emit), notes_(notes) {}

  // What follows is in another graph, as yet unchanged. Its Clips at the ends of the codes go.
  void start_graph(ir::Graph& graph);

  // Does the node read fixed scales, and give values of one? Engines can do it in integers then.
  bool on_codes(ir::NodeId id) const { return on_codes_.contains(id); }

  // What a node other than a quantized product or convolution reads, as its fixed scale has it:
  // where the value comes from an operator that can work on codes, or goes into one.
  void round_inputs(ir::Graph& graph, ir::NodeId id);

  // x as its fixed scale has it; x itself where it has none. Codes -127..127 around a zero become
  // 0..254: ONNX Runtime's products are fastest with unsigned x, and a Relu before them costs
  // nothing.
  ir::ValueId rounded(ir::Graph& graph, ir::ValueId x);

  // A bias [rows] or [1, rows] in units of x's and the weight's scales, when it fits i32 so; else
  // as it is.
  Expected<ir::ValueId> bias(ir::Graph& graph, ir::ValueId x, ir::WeightId weight,
                             ir::ValueId bias);

 private:
  void drop_clip(ir::Graph& graph, ir::NodeId id);
  ir::ValueId scale_of(const ir::Value& value);

  ir::Model& model_;
  Emitter& emit_;
  WriterNotes& notes_;
  // Of this graph:
  std::map<ir::ValueId, ir::ValueId> rounded_;  // by x
  std::set<ir::NodeId> on_codes_;               // nodes that read fixed scales and give one
  std::set<ir::ValueId> from_codes_;            // what these give
};

}  // namespace thimble::formats::onnx
