// share-weights: weights of the same type, shape and bytes become one. Candidates by type and shape
// are told apart by a digest of their beginning, so that a model of many equal layers isn't read
// for this; those that begin alike by a digest of the whole, a piece at a time.

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "passes/registrations.h"
#include "support/hash.h"

namespace thimble::passes {
namespace {

constexpr std::uint64_t kPieceBytes = 1 << 20;
constexpr std::uint64_t kBeginningBytes = 1 << 12;
constexpr auto kWhole = std::numeric_limits<std::uint64_t>::max();

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

// The rows that make about so many bytes, one at least.
std::int64_t rows_in(const ir::Weight& weight, std::uint64_t bytes) {
  const auto rows = static_cast<std::uint64_t>(std::max<std::int64_t>(weight.rows(), 1));
  const std::uint64_t row_bytes = std::max<std::uint64_t>(weight.byte_size() / rows, 1);
  return static_cast<std::int64_t>(std::max<std::uint64_t>(bytes / row_bytes, 1));
}

// Of the first `rows` rows.
Expected<std::string> digest(const ir::Weight& weight, std::int64_t rows) {
  const std::int64_t step = rows_in(weight, kPieceBytes);
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

using Members = std::vector<std::uint32_t>;  // weights, by index

// Parts of `members` whose first rows, about `bytes` of them, are equal.
Expected<std::map<std::string, Members>> parts_of(const ir::Model& model, const Members& members,
                                                  std::uint64_t bytes) {
  std::map<std::string, Members> parts;
  for (const std::uint32_t i : members) {
    const ir::Weight& weight = model.weights[i];
    const std::int64_t rows = std::min(weight.rows(), rows_in(weight, bytes));
    THIMBLE_ASSIGN(std::string key, digest(weight, rows));
    parts[std::move(key)].push_back(i);
  }
  return parts;
}

// For each weight the first one that equals it.
Expected<std::vector<std::uint32_t>> find_twins(const ir::Model& model) {
  std::vector<std::uint32_t> twin(model.weights.size());
  std::map<std::string, Members> kinds;
  for (std::uint32_t i = 0; i < twin.size(); ++i) {
    twin[i] = i;
    const ir::Weight& weight = model.weights[i];
    if (weight.source != nullptr && weight.dtype != ir::DType::kString)
      kinds[kind_of(weight)].push_back(i);
  }
  for (const auto& [kind, members] : kinds) {
    if (members.size() < 2) continue;
    THIMBLE_ASSIGN(const auto alike, parts_of(model, members, kBeginningBytes));
    for (const auto& [beginning, candidates] : alike) {
      if (candidates.size() < 2) continue;
      THIMBLE_ASSIGN(const auto equal, parts_of(model, candidates, kWhole));
      for (const auto& [bytes, twins] : equal)
        for (const std::uint32_t i : twins) twin[i] = twins.front();
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
    graph.edit(id, [&](ir::Node& node) {
      for (ir::Attribute& attribute : node.attributes) {
        if (auto* weight = std::get_if<ir::WeightId>(&attribute.value))
          weight->index = twin[weight->index];
      }
    });
  }
  ir::erase_unused_constants(model, graph);
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
      decision.scheme = gone.scheme();
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
