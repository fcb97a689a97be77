#include "formats/onnx/expand.h"

#include <limits>
#include <map>

#include "formats/onnx/rewriter.h"

namespace thimble::formats::onnx {
namespace {

// One dim of a value, as i64[].
ir::ValueId length(Rewriter& r, ir::ValueId value, std::int64_t axis) {
  const ir::ValueId dims = r.emit("Shape", {value});
  return r.emit("Gather", {dims, r.integer(axis)}, {{"axis", std::int64_t{0}}});
}

// A key is seen when it lies less than `window` positions behind the query: a mask of
// [queries, keys] says so, and joins the mask that is there.
Status attention(Rewriter& r) {
  const std::int64_t window = r.take<std::int64_t>("window").value_or(0);
  r.set_operator("Attention");
  if (window <= 0) return ok();
  const auto rank = [&](std::size_t i) {
    const auto& shape = r.graph().value(r.input(i)).shape;
    return shape ? static_cast<std::int64_t>(shape->size()) : 0;
  };
  if (rank(0) < 3 || rank(1) < 3) return r.refuse("its window needs inputs of known rank");
  const ir::ValueId zero = r.integer(0), one = r.integer(1);
  const ir::ValueId past = r.has(4) ? length(r, r.input(4), 2) : zero;
  const ir::ValueId queries = length(r, r.input(0), rank(0) - 2);
  const ir::ValueId keys = r.emit("Add", {past, length(r, r.input(1), rank(1) - 2)});
  const ir::ValueId rows = r.emit("Range", {past, r.emit("Add", {past, queries}), one});
  const ir::ValueId column = r.emit("Unsqueeze", {rows, r.integers({1})});
  const ir::ValueId behind = r.emit("Sub", {column, r.emit("Range", {zero, keys, one})});
  ir::ValueId mask = r.emit("Less", {behind, r.integer(window)});
  if (r.has(3)) {
    const bool flags = r.graph().value(r.input(3)).dtype == ir::DType::kBool;
    const ir::ValueId never = r.real(-std::numeric_limits<float>::infinity());
    mask = flags ? r.emit("And", {mask, r.input(3)}) : r.emit("Where", {mask, r.input(3), never});
  }
  r.set_input(3, mask);
  return ok();
}

// Masks that were expanded, by what they were and the queries that they are for.
using Expanded = std::map<std::pair<ir::ValueId, std::string>, ir::ValueId>;

// One row of a mask for all queries: ONNX says that it broadcasts, ONNX Runtime refuses it.
void expand_mask(Rewriter& r, Expanded& expanded) {
  if (!r.has(3)) return;
  const auto &mask = r.graph().value(r.input(3)).shape, &query = r.graph().value(r.input(0)).shape;
  if (!mask || mask->size() < 2 || !query || query->size() < 3) return;
  const auto rank = static_cast<std::int64_t>(query->size());
  const ir::Dim& queries = (*query)[query->size() - 2];
  const ir::Dim one(1);
  if (!((*mask)[mask->size() - 2] == one) || queries == one) return;
  ir::ValueId& all = expanded[{r.input(3), queries.to_string()}];
  if (!all.valid()) {
    const ir::ValueId length =
        r.emit("Shape", {r.input(0)}, {{"start", rank - 2}, {"end", rank - 1}});
    const ir::ValueId shape =
        r.emit("Concat", {length, r.integers({1})}, {{"axis", std::int64_t{0}}});
    all = r.emit("Expand", {r.input(3), shape});
    r.graph().value(all).dtype = r.graph().value(r.input(3)).dtype;
  }
  r.set_input(3, all);
}

Status expand_graph(ir::Model& model, ir::Graph& graph) {
  Expanded expanded;
  for (const ir::NodeId id : graph.order()) {
    const bool own = graph.node(id).domain == "thimble";
    const bool is_attention = graph.node(id).op == "Attention";
    if (!own && !(graph.node(id).domain.empty() && is_attention)) continue;
    Rewriter rewriter(model, graph, id, 23);
    if (!is_attention) return rewriter.refuse("ONNX has no body for it");
    if (own) THIMBLE_TRY(attention(rewriter));
    expand_mask(rewriter, expanded);
  }
  return ok();
}

}  // namespace

Status expand_own_operators(ir::Model& model) {
  THIMBLE_TRY(expand_graph(model, model.graph));
  for (ir::Graph& body : model.graphs) THIMBLE_TRY(expand_graph(model, body));
  return ok();
}

}  // namespace thimble::formats::onnx
