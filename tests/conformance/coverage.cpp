#include "conformance/coverage.h"

#include "formats/onnx/proto.h"
#include "support/mapped_file.h"

namespace thimble::conformance {
namespace {

using formats::onnx::GraphInfo;
using formats::onnx::NodeInfo;

void collect(const std::vector<NodeInfo>& nodes, std::multiset<std::string>& out) {
  for (const NodeInfo& node : nodes) {
    out.insert(node.domain.empty() ? std::string(node.op)
                                   : std::string(node.domain) + "::" + std::string(node.op));
    for (const auto& attribute : node.attributes) {
      if (attribute.graph != nullptr) collect(attribute.graph->nodes, out);
    }
  }
}

}  // namespace

Expected<std::multiset<std::string>> operators_of(const std::string& model) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(model));
  THIMBLE_ASSIGN(const formats::onnx::ModelInfo info, formats::onnx::parse_model(file->bytes()));
  std::multiset<std::string> out;
  if (info.graph) collect(info.graph->nodes, out);
  for (const auto& function : info.functions) collect(function.nodes, out);
  return out;
}

void Coverage::Count::add(Outcome outcome) {
  (outcome == Outcome::kPassed ? passed : outcome == Outcome::kFailed ? failed : skipped) += 1;
}

void Coverage::add(const std::string& name, const std::multiset<std::string>& operators,
                   Outcome outcome) {
  categories_[name.substr(0, name.find('/'))].add(outcome);
  for (const std::string& op : std::set<std::string>(operators.begin(), operators.end())) {
    used_[op].add(outcome);
    if (operators.size() == 1) alone_[op].add(outcome);
  }
}

std::string Coverage::markdown() const {
  const auto number = [](int n) { return std::to_string(n); };
  std::string out = "| category | cases | passed | failed | skipped |\n|---|---|---|---|---|\n";
  for (const auto& [name, c] : categories_) {
    out += "| " + name + " | " + number(c.all()) + " | " + number(c.passed) + " | " +
           number(c.failed) + " | " + number(c.skipped) + " |\n";
  }
  out +=
      "\n| operator | cases of it alone | passed | cases that use it | passed |\n"
      "|---|---|---|---|---|\n";
  for (const auto& [op, used] : used_) {
    const auto at = alone_.find(op);
    const Count alone = at == alone_.end() ? Count() : at->second;
    out += "| " + op + " | " + number(alone.all()) + " | " + number(alone.passed) + " | " +
           number(used.all()) + " | " + number(used.passed) + " |\n";
  }
  return out;
}

}  // namespace thimble::conformance
