#include "formats/onnx/order.h"

#include <string_view>
#include <unordered_map>

namespace thimble::formats::onnx {
namespace {

// What the node reads, or some node in its bodies does.
void add_reads(const NodeInfo& node, std::vector<std::string_view>& names) {
  names.insert(names.end(), node.inputs.begin(), node.inputs.end());
  for (const AttributeInfo& attribute : node.attributes) {
    if (attribute.graph == nullptr) continue;
    for (const NodeInfo& inner : attribute.graph->nodes) add_reads(inner, names);
    for (const ValueInfo& output : attribute.graph->outputs) names.push_back(output.name);
  }
}

class Sorter {
 public:
  explicit Sorter(const std::vector<NodeInfo>& nodes)
      : nodes_(nodes), producers_(nodes.size()), seen_(nodes.size()) {
    std::unordered_map<std::string_view, std::size_t> producer;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      for (const std::string_view output : nodes[i].outputs) {
        if (!output.empty()) producer.emplace(output, i);
      }
    }
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      std::vector<std::string_view> names;
      add_reads(nodes[i], names);
      for (const std::string_view name : names) {
        const auto found = producer.find(name);
        if (found != producer.end()) producers_[i].push_back(found->second);
      }
    }
  }

  std::vector<const NodeInfo*> run() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) visit(i);
    return std::move(out_);
  }

 private:
  // Depth first, without recursion: a chain may be as long as the file.
  void visit(std::size_t first) {
    enter(first);
    while (!path_.empty()) {
      const std::size_t node = path_.back().first, next = path_.back().second++;
      if (next < producers_[node].size()) {
        enter(producers_[node][next]);
        continue;
      }
      out_.push_back(&nodes_[node]);
      path_.pop_back();
    }
  }
  void enter(std::size_t node) {
    if (!seen_[node]) path_.emplace_back(node, 0);
    seen_[node] = true;
  }

  const std::vector<NodeInfo>& nodes_;
  std::vector<std::vector<std::size_t>> producers_;  // of what each node reads
  std::vector<bool> seen_;
  std::vector<std::pair<std::size_t, std::size_t>> path_;  // nodes, and the producer that is next
  std::vector<const NodeInfo*> out_;
};

}  // namespace

std::vector<const NodeInfo*> in_order(const std::vector<NodeInfo>& nodes) {
  return Sorter(nodes).run();
}

}  // namespace thimble::formats::onnx
