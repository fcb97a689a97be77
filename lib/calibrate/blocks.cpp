#include "calibrate/blocks.h"

#include <algorithm>
#include <map>

#include "ir/match.h"

namespace thimble::calibrate {
namespace {

constexpr int kNowhere = -1;  // depends on constants alone

// By the names of its weights, or its own.
int layer_named(const ir::Model& model, ir::NodeId id) {
  const ir::Node& node = model.graph.node(id);
  for (const ir::ValueId input : node.inputs) {
    if (!input.valid() || !model.graph.value(input).weight.valid()) continue;
    const int layer = ir::layer_of(model.weight(model.graph.value(input).weight).name);
    if (layer >= 0) return layer;
  }
  return ir::layer_of(node.name);
}

class Cutter {
 public:
  explicit Cutter(const ir::Model& model)
      : graph_(model.graph),
        layers_(graph_.node_capacity(), -1),
        multiplies_(graph_.node_capacity()),
        stage_of_node_(graph_.node_capacity(), kNowhere),
        stage_of_value_(graph_.value_capacity(), kNowhere),
        is_state_(graph_.value_capacity()) {
    for (const ir::WeightUse& use : ir::quantizable_weights(model)) {
      for (const ir::NodeId node : use.nodes) multiplies_[node.index] = true;
    }
    for (const ir::NodeId node : graph_.order()) {
      layers_[node.index] = layer_named(model, node);
      last_stage_ = std::max(last_stage_, layers_[node.index] + 1);
    }
    for (const ir::ValueId input : graph_.inputs()) stage_of_value_[input.index] = 0;
    for (const ir::State& state : model.states) {
      if (const auto input = graph_.find_value(state.input)) is_state_[input->index] = true;
    }
  }

  std::vector<Block> run() {
    for (const ir::NodeId id : graph_.order()) place(id);
    std::map<int, Block> blocks;  // stages without nodes are left out
    for (const ir::NodeId id : graph_.order()) {
      const int stage = stage_of_node_[id.index];
      if (stage == kNowhere) continue;
      Block& block = blocks[stage];
      block.nodes.push_back(id);
      if (stage >= 1 && stage <= last_stage_) block.layer = stage - 1;
    }
    find_values(blocks);
    std::vector<Block> out;
    for (auto& [stage, block] : blocks) out.push_back(std::move(block));
    return out;
  }

 private:
  void place(ir::NodeId id) {
    const ir::Node& node = graph_.node(id);
    int stage = kNowhere;
    for (const ir::ValueId input : node.inputs) {
      if (input.valid()) stage = std::max(stage, stage_of_value_[input.index]);
    }
    if (stage == kNowhere) return;
    const bool after_all = last_stage_ > 0 && stage == last_stage_;
    if (after_all && multiplies_[id.index] && layers_[id.index] < 0) stage = last_stage_ + 1;
    stage = std::max(stage, layers_[id.index] + 1);
    stage_of_node_[id.index] = stage;
    for (const ir::ValueId output : node.outputs) {
      if (output.valid()) stage_of_value_[output.index] = stage;
    }
  }

  void find_values(std::map<int, Block>& blocks) const {
    std::vector<int> last_read(graph_.value_capacity(), kNowhere);
    for (auto& [stage, block] : blocks) {
      for (const ir::NodeId id : block.nodes) {
        for (const ir::ValueId input : graph_.node(id).inputs) {
          if (!input.valid() || is_state_[input.index] || stage_of_value_[input.index] == kNowhere)
            continue;
          last_read[input.index] = std::max(last_read[input.index], stage);
          const bool foreign =
              !graph_.value(input).producer.valid() || stage_of_value_[input.index] != stage;
          if (foreign &&
              std::find(block.reads.begin(), block.reads.end(), input) == block.reads.end())
            block.reads.push_back(input);
        }
      }
    }
    for (std::uint32_t i = 0; i < last_read.size(); ++i) {
      const bool computed = last_read[i] != kNowhere && graph_.value({i}).producer.valid();
      for (auto& [stage, block] : blocks) {
        if (last_read[i] <= stage || stage_of_value_[i] > stage) continue;
        block.keeps.push_back({i});
        if (computed && stage_of_value_[i] == stage) block.writes.push_back({i});
      }
    }
  }

  const ir::Graph& graph_;
  std::vector<int> layers_;       // by node, -1: unknown
  std::vector<bool> multiplies_;  // by node: reads a weight that an encoding may take
  int last_stage_ = 0;            // of the layers; 0: none
  std::vector<int> stage_of_node_;
  std::vector<int> stage_of_value_;
  std::vector<bool> is_state_;  // by value
};

}  // namespace

std::vector<Block> cut_into_blocks(const ir::Model& model) { return Cutter(model).run(); }

}  // namespace thimble::calibrate
