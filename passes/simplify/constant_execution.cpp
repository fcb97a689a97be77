#include "passes/simplify/constant_execution.h"

#include <algorithm>

#include "ir/extract.h"
#include "lower/lower.h"
#include "passes/simplify/rewrite.h"
#include "runtime/session.h"

namespace thimble::passes {
namespace {

constexpr std::int64_t kMostElements = 1 << 16, kFew = 4096;

std::optional<std::int64_t> fixed_count(const ir::Value& value) {
  if (!value.shape) return std::nullopt;
  std::int64_t count = 1;
  for (const ir::Dim& dim : *value.shape) {
    const auto size = dim.constant();
    if (!size || *size < 1 || *size > kMostElements) return std::nullopt;
    count *= *size;
    if (count > kMostElements) return std::nullopt;
  }
  return count;
}

bool is_plain(ir::DType type) {
  return type == ir::DType::kF32 || type == ir::DType::kI64 || type == ir::DType::kI32 ||
         type == ir::DType::kBool;
}

class Executor {
 public:
  explicit Executor(ir::Model& model) : model_(model), graph_(model.graph) {}

  // The values to compute: results of known nodes that others read.
  std::vector<ir::ValueId> frontier(std::uint64_t growth) {
    known_.assign(graph_.value_capacity(), false);
    for (const ir::ValueId id : graph_.constants()) known_[id.index] = is_small(id);
    for (const ir::NodeId id : graph_.order()) {
      const ir::Node& node = graph_.node(id);
      if (!follows(id, node)) continue;
      nodes_.push_back(id);
      for (const ir::ValueId output : node.outputs)
        if (output.valid()) known_[output.index] = true;
    }
    std::vector<ir::ValueId> wanted;
    for (const ir::NodeId id : nodes_) {
      for (const ir::ValueId output : graph_.node(id).outputs) {
        if (!output.valid() || graph_.is_output(output) || !is_read(output)) continue;
        const ir::Value& value = graph_.value(output);
        const auto bits = static_cast<std::uint64_t>(ir::dtype_bits(value.dtype));
        const auto bytes = static_cast<std::uint64_t>(*fixed_count(value)) * bits / 8;
        if (bytes > growth) continue;
        growth -= bytes;
        wanted.push_back(output);
      }
    }
    return wanted;
  }

  void erase_unused_nodes() {
    for (auto id = nodes_.rbegin(); id != nodes_.rend(); ++id)
      if (!is_used(model_, graph_, graph_.node(*id))) graph_.erase(*id);
    erase_unused_constants(model_, graph_);
  }

 private:
  bool is_small(ir::ValueId id) const {
    const ir::Weight& weight = model_.weight(graph_.value(id).weight);
    return weight.source != nullptr && weight.encoding.is_dense() &&
           weight.element_count() <= kMostElements;
  }

  bool follows(ir::NodeId id, const ir::Node& node) const {
    constexpr std::string_view kLeft[] = {
        "DequantizeLinear",  "QuantizeLinear", "RandomNormal", "RandomUniform", "RandomNormalLike",
        "RandomUniformLike", "Bernoulli",      "Multinomial",  "Dropout"};
    if (!node.domain.empty() || node.inputs.empty() || !ir::bodies(node).empty() ||
        std::find(std::begin(kLeft), std::end(kLeft), node.op) != std::end(kLeft))
      return false;
    const auto is_known = [&](ir::ValueId id) { return !id.valid() || known_[id.index]; };
    const auto is_fixed = [&](ir::ValueId id) {
      return !id.valid() || (is_plain(graph_.value(id).dtype) && fixed_count(graph_.value(id)));
    };
    return std::all_of(node.inputs.begin(), node.inputs.end(), is_known) &&
           std::all_of(node.outputs.begin(), node.outputs.end(), is_fixed) && !is_view(node) &&
           !copies_shared(id, node);
  }

  // Reads a weight, of more than a few numbers, that other nodes read as well.
  bool copies_shared(ir::NodeId id, const ir::Node& node) const {
    return std::any_of(node.inputs.begin(), node.inputs.end(), [&](ir::ValueId input) {
      const bool large = input.valid() && graph_.value(input).weight.valid() &&
                         model_.weight(graph_.value(input).weight).element_count() > kFew;
      return large && !only_read_by(model_, graph_, input, id);
    });
  }

  // A matrix that is turned for a product: products read it either way.
  bool is_view(const ir::Node& node) const {
    if (!node.is("Transpose")) return false;
    const ir::Value& value = graph_.value(node.inputs[0]);
    return value.weight.valid() && value.shape && value.shape->size() == 2 &&
           value.dtype == ir::DType::kF32;
  }

  bool is_read(ir::ValueId value) const {
    if (ir::is_captured(model_, graph_, value)) return true;
    const std::vector<ir::NodeId> users = graph_.users(value);
    return std::any_of(users.begin(), users.end(), [&](ir::NodeId user) {
      const std::vector<ir::ValueId>& results = graph_.node(user).outputs;
      return std::none_of(results.begin(), results.end(), [&](ir::ValueId result) {
        return result.valid() && known_[result.index];
      });
    });
  }

  ir::Model& model_;
  ir::Graph& graph_;
  std::vector<bool> known_;  // by ValueId
  std::vector<ir::NodeId> nodes_;
};

ir::Weight weight_of(const ir::Value& value, const runtime::TensorView& view) {
  ir::Weight weight;
  weight.name = value.name;
  weight.dtype = value.dtype;
  weight.dims = view.dims;
  const auto size = static_cast<std::size_t>(view.count()) *
                    static_cast<std::size_t>(program::type_bytes(view.type));
  const auto* data = static_cast<const std::byte*>(view.data);
  const auto rows = static_cast<std::uint64_t>(std::max<std::int64_t>(weight.rows(), 1));
  weight.source = ir::owned_dense({data, data + size}, size / rows);
  return weight;
}

}  // namespace

Expected<std::int64_t> execute_constants(ir::Model& model, std::uint64_t growth, ThreadPool& pool) {
  Executor executor(model);
  const std::vector<ir::ValueId> wanted = executor.frontier(growth);
  if (wanted.empty()) return 0;
  const ir::Model part = ir::extract(model, {}, wanted);
  // What the runtime lacks is told when the model is lowered, with the node and the remedy.
  const auto bundle = lower::load(part, pool);
  if (!bundle) return 0;
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(*bundle, pool));
  THIMBLE_TRY(session->run({}));
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    ir::Graph& graph = model.graph;
    const ir::ValueId old = wanted[i];
    const std::string name = graph.value(old).name;
    const ir::ValueId constant =
        add_constant(model, graph, weight_of(graph.value(old), session->outputs()[i]));
    ir::replace_uses(model, graph, old, constant);
    graph.rename(old, name + ".computed");
    ir::rename(model, graph, constant, name);
  }
  executor.erase_unused_nodes();
  return static_cast<std::int64_t>(wanted.size());
}

}  // namespace thimble::passes
