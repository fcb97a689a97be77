#include "passes/quantize/integer_islands.h"

#include <algorithm>
#include <iterator>

#include "ir/integer_forms.h"
#include "ir/match.h"

namespace thimble::passes {

using ir::IntegerForm;

namespace {

bool same_numbers(const ir::Node& node) {
  const IntegerForm form = ir::integer_form(node);
  return form == IntegerForm::kMovement || form == IntegerForm::kJoin;
}

}  // namespace

IntegerIslands::IntegerIslands(const ir::Model& model, const std::vector<ir::ValueId>& inputs)
    : model_(model) {
  for (const ir::ValueId input : inputs) add(input);
  inputs_ = static_cast<std::ptrdiff_t>(values_.size());
  for (const ir::NodeId id : model.graph.order()) grow(id);
  trim();
  for (const ir::NodeId id : model.graph.order()) share_scales(id);
}

ir::ValueId IntegerIslands::leader(ir::ValueId value) const {
  for (auto parent = parents_.find(value); parent != parents_.end(); parent = parents_.find(value))
    value = parent->second;
  return value;
}

void IntegerIslands::grow(ir::NodeId id) {
  const IntegerForm form = ir::integer_form(model_.graph.node(id));
  if (form == IntegerForm::kNone || form == IntegerForm::kCut || !reads_scales(id)) return;
  const ir::ValueId result = result_of(id);
  if (may_have_scale(result)) add(result);
}

void IntegerIslands::trim() {
  const ir::Graph& graph = model_.graph;
  std::vector<ir::ValueId> kept(values_.begin(), values_.begin() + inputs_);
  std::vector<ir::ValueId> grown(values_.begin() + inputs_, values_.end());
  for (auto value = grown.rbegin(); value != grown.rend(); ++value) {
    const IntegerForm form = ir::integer_form(graph.node(graph.value(*value).producer));
    const bool cheap =
        form == IntegerForm::kPool || form == IntegerForm::kMovement || form == IntegerForm::kJoin;
    if (!cheap) continue;
    const std::vector<ir::NodeId> users = graph.users(*value);
    if (std::none_of(users.begin(), users.end(),
                     [&](ir::NodeId user) { return works_on_codes(user); }))
      known_.erase(*value);
  }
  std::copy_if(grown.begin(), grown.end(), std::back_inserter(kept),
               [&](ir::ValueId value) { return known_.contains(value); });
  values_ = std::move(kept);
}

// Products and convolutions read the inputs, and those have no readers to be looked at here.
bool IntegerIslands::works_on_codes(ir::NodeId id) const {
  const IntegerForm form = ir::integer_form(model_.graph.node(id));
  return form != IntegerForm::kNone && form != IntegerForm::kCut && reads_scales(id) &&
         known_.contains(result_of(id));
}

// A movement's result is that of the movement alone: a Relu behind it would change numbers.
ir::ValueId IntegerIslands::result_of(ir::NodeId id) const {
  const ir::Node& node = model_.graph.node(id);
  return same_numbers(node) ? node.outputs[0] : ir::scaled_result(model_.graph, node);
}

void IntegerIslands::share_scales(ir::NodeId id) {
  const ir::Node& node = model_.graph.node(id);
  if (!same_numbers(node) || !works_on_codes(id)) return;
  const bool moved = ir::integer_form(node) == IntegerForm::kMovement;
  // Other readers of a part would get the coarser scale of the whole.
  for (const ir::ValueId input : ir::scaled_inputs(node)) {
    if (moved || model_.graph.users(input).size() == 1) share(node.outputs[0], input);
  }
}

bool IntegerIslands::reads_scales(ir::NodeId id) const {
  const ir::Node& node = model_.graph.node(id);
  if (ir::integer_form(node) == IntegerForm::kConvolution) {
    const auto conv = ir::match_convolution(model_, id);
    if (!conv || model_.weight(conv->weight).encoding.is_dense()) return false;
  }
  const std::vector<ir::ValueId> inputs = ir::scaled_inputs(node);
  return !inputs.empty() && std::all_of(inputs.begin(), inputs.end(), [&](ir::ValueId input) {
    return input.valid() && known_.contains(input);
  });
}

bool IntegerIslands::may_have_scale(ir::ValueId value) const {
  const ir::Graph& graph = model_.graph;
  if (!value.valid() || graph.is_output(value) || graph.value(value).dtype != ir::DType::kF32)
    return false;
  const std::vector<ir::NodeId> users = graph.users(value);
  return std::none_of(users.begin(), users.end(), [&](ir::NodeId user) {
    ir::WeightId weight;
    if (const auto linear = ir::match_linear(model_, user)) weight = linear->weight;
    if (const auto conv = ir::match_convolution(model_, user)) weight = conv->weight;
    return weight.valid() && !model_.weight(weight).encoding.is_dense();
  });
}

void IntegerIslands::share(ir::ValueId a, ir::ValueId b) {
  const ir::ValueId first = leader(a), second = leader(b);
  if (first != second) parents_[second] = first;
}

void IntegerIslands::add(ir::ValueId value) {
  if (known_.insert(value).second) values_.push_back(value);
}

}  // namespace thimble::passes
