#include "passes/simplify/constant_execution.h"

#include <algorithm>

#include "ir/extract.h"
#include "lower/lower.h"
#include "passes/simplify/constant_work.h"
#include "passes/simplify/rewrite.h"
#include "runtime/session.h"

namespace thimble::passes {
namespace {

constexpr std::int64_t kMostElements = 1 << 20, kFew = 4096;

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
  Executor(ir::Model& model, ir::Graph& graph, std::uint64_t work)
      : model_(model), graph_(graph), work_(work) {}

  // The values to compute: results of known nodes that others read. They take what they add to the
  // model from `growth`; what the constants that go with them took is given back first.
  std::vector<ir::ValueId> frontier(std::uint64_t& growth) {
    barred_.assign(graph_.node_capacity(), false);
    do find_nodes();
    while (bar_copies());
    growth += freed();
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

  std::uint64_t work_left() const { return work_left_; }

  void erase_unused_nodes() {
    for (auto id = nodes_.rbegin(); id != nodes_.rend(); ++id)
      if (!is_used(model_, graph_, graph_.node(*id))) graph_.erase(*id);
    ir::erase_unused_constants(model_, graph_);
  }

 private:
  void find_nodes() {
    nodes_.clear();
    runs_.assign(graph_.node_capacity(), false);
    known_.assign(graph_.value_capacity(), false);
    work_left_ = work_;
    for (const ir::ValueId id : graph_.constants()) known_[id.index] = is_small(id);
    for (const ir::NodeId id : graph_.order()) {
      const ir::Node& node = graph_.node(id);
      if (barred_[id.index] || !follows(node)) continue;
      const std::uint64_t work = work_of(graph_, node);
      if (work > work_left_) continue;
      work_left_ -= work;
      nodes_.push_back(id);
      runs_[id.index] = true;
      for (const ir::ValueId output : node.outputs)
        if (output.valid()) known_[output.index] = true;
    }
  }

  // Nodes that read a weight, of more than a few numbers, that stays because others read it as
  // well: their results would be copies of it. Were there any?
  bool bar_copies() {
    bool any = false;
    for (const ir::ValueId id : graph_.constants()) {
      if (model_.weight(graph_.value(id).weight).element_count() <= kFew || goes(id)) continue;
      for (const ir::NodeId user : graph_.users(id)) {
        any = any || runs_[user.index];
        barred_[user.index] = true;
      }
    }
    return any;
  }

  // Is the constant read by nodes alone whose results become constants?
  bool goes(ir::ValueId constant) const {
    const std::vector<ir::NodeId> users = graph_.users(constant);
    return !graph_.is_output(constant) && !ir::is_captured(model_, graph_, constant) &&
           std::all_of(users.begin(), users.end(),
                       [&](ir::NodeId user) { return runs_[user.index]; });
  }

  // Bytes of the constants that go. One whose weight stands elsewhere too counts as if it went.
  std::uint64_t freed() const {
    std::uint64_t bytes = 0;
    for (const ir::ValueId id : graph_.constants()) {
      const ir::Weight& weight = model_.weight(graph_.value(id).weight);
      if (weight.encoding.is_dense() && goes(id))
        bytes += static_cast<std::uint64_t>(weight.element_count()) *
                 static_cast<std::uint64_t>(ir::dtype_bits(weight.dtype)) / 8;
    }
    return bytes;
  }

  bool is_small(ir::ValueId id) const {
    const ir::Weight& weight = model_.weight(graph_.value(id).weight);
    return weight.source != nullptr && weight.encoding.is_dense() &&
           weight.element_count() <= kMostElements;
  }

  bool follows(const ir::Node& node) const {
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
           std::all_of(node.outputs.begin(), node.outputs.end(), is_fixed) && !is_view(node);
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
  std::uint64_t work_;           // that nodes may make
  std::uint64_t work_left_ = 0;  // of it, after nodes_
  std::vector<bool> known_;      // by ValueId
  std::vector<bool> barred_;     // by NodeId
  std::vector<bool> runs_;       // by NodeId: is it among nodes_?
  std::vector<ir::NodeId> nodes_;
};

ir::Weight weight_of(const ir::Value& value, const runtime::TensorView& view) {
  const auto size = static_cast<std::size_t>(view.count()) *
                    static_cast<std::size_t>(program::type_bytes(view.type));
  const auto* data = static_cast<const std::byte*>(view.data);
  return ir::make_dense(value.name, value.dtype, view.dims, {data, data + size});
}

// The model with the graph in the place of its main graph.
ir::Model with_main_graph(const ir::Model& model, const ir::Graph& graph) {
  ir::Model out;
  out.graph = graph;
  out.graphs = model.graphs;
  out.weights = model.weights;
  out.source_path = model.source_path;
  return out;
}

Expected<std::int64_t> execute_graph(ir::Model& model, ir::Graph& graph, ExecutionLimits& limits,
                                     ThreadPool& pool) {
  Executor executor(model, graph, limits.work);
  const std::vector<ir::ValueId> wanted = executor.frontier(limits.growth);
  limits.work = executor.work_left();
  if (wanted.empty()) return 0;
  const ir::Model part = ir::extract(with_main_graph(model, graph), {}, wanted);
  // What the runtime lacks is told when the model is lowered, with the node and the remedy.
  const auto bundle = lower::load(part, pool);
  if (!bundle) return 0;
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(*bundle, pool));
  if (Status status = session->run({}); !status) {
    if (status.error().code == ErrorCode::kInterrupted) return std::move(status).error();
    return 0;  // the run that gets there tells it; a branch may never be taken
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const ir::ValueId old = wanted[i];
    const std::string name = graph.value(old).name;
    const ir::ValueId constant =
        ir::add_constant(model, graph, weight_of(graph.value(old), session->outputs()[i]));
    ir::replace_uses(model, graph, old, constant);
    graph.rename(old, name + ".computed");
    ir::rename(model, graph, constant, name);
  }
  executor.erase_unused_nodes();
  return static_cast<std::int64_t>(wanted.size());
}

}  // namespace

Expected<std::int64_t> execute_constants(ir::Model& model, ExecutionLimits& limits,
                                         ThreadPool& pool) {
  THIMBLE_ASSIGN(std::int64_t count, execute_graph(model, model.graph, limits, pool));
  for (ir::Graph& body : model.graphs) {
    THIMBLE_ASSIGN(const std::int64_t inside, execute_graph(model, body, limits, pool));
    count += inside;
  }
  return count;
}

}  // namespace thimble::passes
