#include "calibrate/blocks.h"

#include <algorithm>

#include "calibrate/cuts.h"
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
      : model_(model),
        graph_(model.graph),
        layers_(graph_.node_capacity(), -1),
        multiplies_(graph_.node_capacity()),
        stage_of_node_(graph_.node_capacity(), kNowhere),
        stage_of_value_(graph_.value_capacity(), kNowhere),
        block_of_value_(graph_.value_capacity(), kNowhere),
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
    std::vector<ir::NodeId> nodes = graph_.order();
    std::erase_if(nodes, [&](ir::NodeId id) { return stage_of(id) == kNowhere; });
    std::stable_sort(nodes.begin(), nodes.end(),
                     [&](ir::NodeId a, ir::NodeId b) { return stage_of(a) < stage_of(b); });
    const std::vector<std::size_t> places = find_places(nodes);
    for (std::size_t i = 0, next = 0; i < nodes.size(); ++i) {
      if (next < places.size() && places[next] == i) {
        blocks_.emplace_back();
        ++next;
      }
      add(nodes[i]);
    }
    find_values();
    return std::move(blocks_);
  }

 private:
  int stage_of(ir::NodeId id) const { return stage_of_node_[id.index]; }

  void place(ir::NodeId id) {
    int stage = kNowhere;
    for (const ir::ValueId read : ir::reads_of(model_, graph_, graph_.node(id)))
      stage = std::max(stage, stage_of_value_[read.index]);
    if (stage == kNowhere) return;
    const bool after_all = last_stage_ > 0 && stage == last_stage_;
    if (after_all && multiplies_[id.index] && layers_[id.index] < 0) stage = last_stage_ + 1;
    stage = std::max(stage, layers_[id.index] + 1);
    stage_of_node_[id.index] = stage;
    for (const ir::ValueId output : graph_.node(id).outputs) {
      if (output.valid()) stage_of_value_[output.index] = stage;
    }
  }

  // Where blocks begin.
  std::vector<std::size_t> find_places(const std::vector<ir::NodeId>& nodes) const {
    const Cuts cuts(model_, nodes);
    std::vector<std::size_t> places;
    for (std::size_t begin = 0, end = 0; begin < nodes.size(); begin = end) {
      while (end < nodes.size() && stage_of(nodes[end]) == stage_of(nodes[begin])) ++end;
      places.push_back(begin);
      if (last_stage_ == 0 || cuts.weights(begin, end) > kMostWeights)
        cuts.find(begin, end, 1, places);
    }
    return places;
  }

  void add(ir::NodeId id) {
    Block& block = blocks_.back();
    block.nodes.push_back(id);
    if (stage_of(id) >= 1 && stage_of(id) <= last_stage_) block.layer = stage_of(id) - 1;
    for (const ir::ValueId output : graph_.node(id).outputs) {
      if (output.valid()) block_of_value_[output.index] = static_cast<int>(blocks_.size()) - 1;
    }
  }

  void find_values() {
    for (const ir::ValueId input : graph_.inputs()) {
      if (!is_state_[input.index]) block_of_value_[input.index] = 0;
    }
    std::vector<int> last_read(graph_.value_capacity(), kNowhere);
    for (int b = 0; b < static_cast<int>(blocks_.size()); ++b) find_reads(b, last_read);
    for (std::uint32_t i = 0; i < last_read.size(); ++i) {
      const int first = block_of_value_[i];
      for (int b = std::max(first, 0); b < last_read[i]; ++b) {
        Block& block = blocks_[static_cast<std::size_t>(b)];
        block.keeps.push_back({i});
        if (b == first && graph_.value({i}).producer.valid()) block.writes.push_back({i});
      }
    }
  }

  void find_reads(int at, std::vector<int>& last_read) {
    std::vector<ir::ValueId>& reads = blocks_[static_cast<std::size_t>(at)].reads;
    for (const ir::NodeId id : blocks_[static_cast<std::size_t>(at)].nodes) {
      for (const ir::ValueId read : ir::reads_of(model_, graph_, graph_.node(id))) {
        if (block_of_value_[read.index] == kNowhere) continue;
        last_read[read.index] = at;
        const bool foreign =
            !graph_.value(read).producer.valid() || block_of_value_[read.index] != at;
        if (foreign && std::find(reads.begin(), reads.end(), read) == reads.end())
          reads.push_back(read);
      }
    }
  }

  const ir::Model& model_;
  const ir::Graph& graph_;
  std::vector<int> layers_;       // by node, -1: unknown
  std::vector<bool> multiplies_;  // by node: reads a weight that an encoding may take
  int last_stage_ = 0;            // of the layers; 0: none
  std::vector<int> stage_of_node_;
  std::vector<int> stage_of_value_;
  std::vector<int> block_of_value_;  // kNowhere for states
  std::vector<bool> is_state_;       // by value
  std::vector<Block> blocks_;
};

}  // namespace

std::vector<Block> cut_into_blocks(const ir::Model& model) { return Cutter(model).run(); }

}  // namespace thimble::calibrate
