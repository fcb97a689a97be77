// share-weights: weights of the same type, shape and bytes become one. Candidates are told apart by
// digest, a piece at a time; only weights that have a twin by type and shape are read.

#include "passes/simplify/share_weights.h"

#include <algorithm>
#include <map>
#include <string>

#include "passes/simplify/rewrite.h"
#include "support/hash.h"

namespace thimble::passes {
namespace {

constexpr std::uint64_t kPieceBytes = 1 << 20;

std::string kind_of(const ir::Weight& weight) {
  std::string kind = std::string(ir::dtype_name(weight.dtype)) + " " + weight.encoding.to_string() +
                     " " + std::to_string(weight.encoding.axis);
  for (const std::int64_t dim : weight.dims) kind += " " + std::to_string(dim);
  return kind;
}

template <class T>
void add(Hasher& hasher, const std::vector<T>& values) {
  hasher.update(std::as_bytes(std::span(values)));
}

Expected<std::string> digest(const ir::Weight& weight) {
  const std::int64_t rows = weight.rows();
  const std::uint64_t row_bytes =
      rows > 0 ? std::max<std::uint64_t>(weight.byte_size() / static_cast<std::uint64_t>(rows), 1)
               : 1;
  const auto step = static_cast<std::int64_t>(std::max<std::uint64_t>(kPieceBytes / row_bytes, 1));
  Hasher hasher;
  for (float entry : weight.encoding.table) hasher.update(std::as_bytes(std::span(&entry, 1)));
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    const std::int64_t end = std::min(begin + step, rows);
    THIMBLE_ASSIGN(const ir::Rows part, weight.source->read(begin, end));
    hasher.update(part.dense);
    add(hasher, part.codes);
    add(hasher, part.scales);
    add(hasher, part.zero_points);
    add(hasher, part.minima);
    add(hasher, part.sub_scales);
    add(hasher, part.sub_minima);
    weight.source->release(begin, end);
  }
  return hasher.finish().hex();
}

// For each weight the first one that equals it.
Expected<std::vector<std::uint32_t>> find_twins(const ir::Model& model) {
  std::vector<std::uint32_t> twin(model.weights.size());
  std::map<std::string, std::vector<std::uint32_t>> kinds;
  for (std::uint32_t i = 0; i < twin.size(); ++i) {
    twin[i] = i;
    const ir::Weight& weight = model.weights[i];
    if (weight.source != nullptr && weight.dtype != ir::DType::kString)
      kinds[kind_of(weight)].push_back(i);
  }
  for (const auto& [kind, members] : kinds) {
    if (members.size() < 2) continue;
    std::map<std::string, std::uint32_t> first;
    for (const std::uint32_t i : members) {
      THIMBLE_ASSIGN(std::string key, digest(model.weights[i]));
      twin[i] = first.emplace(std::move(key), i).first->second;
    }
  }
  return twin;
}

void redirect(ir::Model& model, ir::Graph& graph, const std::vector<std::uint32_t>& twin) {
  std::map<std::uint32_t, ir::ValueId> first;
  for (const ir::ValueId id : graph.constants()) {
    const std::uint32_t weight = twin[graph.value(id).weight.index];
    graph.value(id).weight.index = weight;
    const auto [place, fresh] = first.emplace(weight, id);
    if (!fresh && !graph.is_output(id)) ir::replace_uses(model, graph, id, place->second);
  }
  for (const ir::NodeId id : graph.order()) {
    for (ir::Attribute& attribute : graph.node(id).attributes) {
      if (auto* weight = std::get_if<ir::WeightId>(&attribute.value))
        weight->index = twin[weight->index];
    }
  }
  erase_unused_constants(model, graph);
}

class ShareWeights : public pass::Pass {
 public:
  Status configure(const pass::Options&) override { return ok(); }
  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    THIMBLE_ASSIGN(const std::vector<std::uint32_t> twin, find_twins(model));
    redirect(model, model.graph, twin);
    for (ir::Graph& body : model.graphs) redirect(model, body, twin);
    for (std::uint32_t i = 0; i < twin.size(); ++i) {
      if (twin[i] == i) continue;
      const ir::Weight& gone = model.weights[i];
      pass::TensorDecision decision;
      decision.tensor = gone.name;
      decision.scheme = gone.encoding.is_dense() ? std::string(ir::dtype_name(gone.dtype))
                                                 : gone.encoding.to_string();
      decision.why = "the same as " + model.weights[twin[i]].name;
      decision.kept = true;
      report.current().decisions.push_back(std::move(decision));
      ++report.current().changes;
      model.weights[i] = {};
    }
    return ok();
  }
};

}  // namespace

pass::Registration share_weights() {
  return {{.name = "share-weights",
           .summary = "Keep one of weights that are equal",
           .kind = pass::Kind::kRewrite,
           .options = {}},
          [] { return std::unique_ptr<pass::Pass>(new ShareWeights); }};
}

}  // namespace thimble::passes
