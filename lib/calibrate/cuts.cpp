#include "calibrate/cuts.h"

#include <algorithm>
#include <map>

#include "calibrate/blocks.h"
#include "ir/match.h"

namespace thimble::calibrate {

Cuts::Cuts(const ir::Model& model, const std::vector<ir::NodeId>& nodes)
    : weighted_(nodes.size()), gathers_(nodes.size()), carried_(nodes.size()) {
  find_weighted(model, nodes);
  for (const Span& span : find_spans(model, nodes)) {
    for (std::size_t i = span.first + 1; i <= span.last; ++i) carried_[i] += 1;
  }
}

void Cuts::find_weighted(const ir::Model& model, const std::vector<ir::NodeId>& nodes) {
  std::map<ir::NodeId, bool> gathered;
  for (const ir::WeightUse& use : ir::quantizable_weights(model)) {
    for (const ir::NodeId node : use.nodes) gathered[node] = use.gathered;
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto use = gathered.find(nodes[i]);
    if (use == gathered.end()) continue;
    (use->second ? gathers_ : weighted_)[i] = true;
  }
}

// Of floats that depend on weights, and of those that don't but are multiplied with several. Others
// (masks, shapes, angles) are the same whatever is done to weights, and may go across anywhere.
std::vector<Cuts::Span> Cuts::find_spans(const ir::Model& model,
                                         const std::vector<ir::NodeId>& nodes) const {
  std::map<ir::ValueId, Span> made, given;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const ir::Node& node = model.graph.node(nodes[i]);
    bool depends = weighted_[i] || gathers_[i];
    for (const ir::ValueId read : ir::reads_of(model, model.graph, node)) {
      if (const auto found = made.find(read); found != made.end()) {
        depends = true;
        found->second.last = i;
      } else if (weighted_[i] && !model.graph.value(read).weight.valid()) {
        given.try_emplace(read, Span{i, i}).first->second.last = i;
      }
    }
    if (!depends) continue;
    for (const ir::ValueId output : node.outputs) {
      if (output.valid()) made[output] = {i, i};
    }
  }
  std::vector<Span> spans;
  for (const auto& values : {made, given}) {
    for (const auto& [value, span] : values) {
      if (ir::dtype_is_float(model.graph.value(value).dtype)) spans.push_back(span);
    }
  }
  return spans;
}

int Cuts::weights(std::size_t begin, std::size_t end) const {
  return static_cast<int>(std::count(weighted_.begin() + static_cast<std::ptrdiff_t>(begin),
                                     weighted_.begin() + static_cast<std::ptrdiff_t>(end), true));
}

void Cuts::find(std::size_t begin, std::size_t end, int carried,
                std::vector<std::size_t>& places) const {
  std::vector<std::size_t> edges = {begin};
  bool after_weight = false;
  std::size_t latest = begin;  // since the last weight; `begin`: none
  for (std::size_t i = begin; i < end; ++i) {
    if (after_weight && carried_[i] <= carried) latest = i;
    if (!weighted_[i]) continue;
    if (latest > begin) edges.push_back(latest);
    after_weight = true;
    latest = begin;
  }
  edges.push_back(end);
  for (std::size_t e = 0; e + 1 < edges.size(); ++e) {
    if (e > 0) places.push_back(edges[e]);
    if (weights(edges[e], edges[e + 1]) > kMostWeights && carried < kMostCarried)
      find(edges[e], edges[e + 1], carried + 1, places);
  }
}

}  // namespace thimble::calibrate
