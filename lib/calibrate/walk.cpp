#include "calibrate/walk.h"

#include <algorithm>
#include <cstring>

#include "ir/extract.h"
#include "lower/lower.h"
#include "support/system.h"

namespace thimble::calibrate {
namespace {

std::size_t bytes_of(const runtime::TensorView& view) {
  return static_cast<std::size_t>(view.count()) *
         static_cast<std::size_t>(program::type_bytes(view.type));
}

bool same(const Held& held, const runtime::TensorView& view) {
  return held.type == view.type && held.dims == view.dims &&
         std::memcmp(held.bytes->data(), view.data, held.bytes->size()) == 0;
}

// Positions that the caches of a block need: no sample is longer than its longest dimension.
std::int64_t longest(const std::map<std::uint32_t, Held>& values) {
  std::int64_t most = 1;
  for (const auto& [value, held] : values) {
    if (held.dims.size() > 1) most = std::max(most, held.dims[1]);
  }
  return most;
}

}  // namespace

bool is_state(const ir::Model& model, const std::string& name) {
  return std::any_of(model.states.begin(), model.states.end(),
                     [&](const ir::State& state) { return state.input == name; });
}

Expected<Walk> Walk::create(const ir::Model& model, std::span<const Sample> samples,
                            ThreadPool& pool) {
  if (samples.empty()) {
    return invalid_argument("the calibration holds nothing to run the model on")
        .fix(
            "add `calibrate: {text: FILE}` to the recipe: an importance matrix alone serves only "
            "`importance: true`");
  }
  Walk walk(model, pool);
  walk.blocks_ = cut_into_blocks(model);
  walk.values_.resize(samples.size());
  for (const ir::ValueId input : model.graph.inputs()) {
    const std::string& name = model.graph.value(input).name;
    if (is_state(model, name)) continue;
    for (std::size_t s = 0; s < samples.size(); ++s) {
      const auto given = samples[s].find(name);
      if (given == samples[s].end())
        return invalid_argument("the calibration gives no '" + name + "', which the model reads");
      walk.values_[s][input.index] = given->second;
    }
  }
  return walk;
}

bool Walk::at_hand(ir::ValueId value) const {
  const auto has = [](const auto& all, auto one) {
    return std::find(all.begin(), all.end(), one) != all.end();
  };
  const ir::NodeId producer = model_->graph.value(value).producer;
  return has(block().reads, value) || (producer.valid() && has(block().nodes, producer));
}

Status Walk::run(std::span<const ir::ValueId> watch, const Watcher& watcher,
                 const RunOptions& options) {
  THIMBLE_CHECK(!done(), "a block is left to run");
  std::vector<ir::ValueId> outputs(watch.begin(), watch.end());
  if (options.move) outputs.insert(outputs.end(), block().writes.begin(), block().writes.end());
  const ir::Model part = ir::extract(*model_, block().reads, outputs);
  THIMBLE_ASSIGN(const program::Bundle bundle, lower::load(part, *pool_));
  runtime::SessionOptions session_options;
  session_options.cache_from_program = false;
  session_options.float_activations = options.float_activations;
  for (const Values& values : values_)
    session_options.max_context = std::max(session_options.max_context, longest(values));
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(bundle, *pool_, session_options));
  for (std::size_t s = 0; s < values_.size(); ++s) {
    if (system::interrupted()) return Error(ErrorCode::kInterrupted, "interrupted");
    THIMBLE_TRY(run_sample(*session, part, s, watch, watcher, options.move));
  }
  if (options.move) position_ += 1;
  return ok();
}

Status Walk::run_sample(runtime::Session& session, const ir::Model& part, std::size_t sample,
                        std::span<const ir::ValueId> watch, const Watcher& watcher, bool move) {
  const ir::Graph& graph = model_->graph;
  Values& values = values_[sample];
  std::vector<runtime::TensorView> inputs;
  for (const ir::ValueId input : part.graph.inputs()) {
    const std::string& name = part.graph.value(input).name;
    if (is_state(part, name)) continue;
    const auto held = values.find(graph.find_value(name)->index);
    THIMBLE_CHECK(held != values.end(), "a boundary holds what the block reads: " + name);
    inputs.push_back(held->second.view());
  }
  session.reset();
  THIMBLE_TRY(session.run(inputs));
  const auto output = [&](ir::ValueId value) -> const runtime::TensorView& {
    const auto& outputs = part.graph.outputs();
    const auto place =
        std::find(outputs.begin(), outputs.end(), part.graph.find_value(graph.value(value).name));
    return session.outputs()[static_cast<std::size_t>(place - outputs.begin())];
  };
  for (std::size_t w = 0; w < watch.size(); ++w) THIMBLE_TRY(watcher(sample, w, output(watch[w])));
  if (!move) return ok();
  for (const ir::ValueId value : block().writes) values[value.index] = hold(value, output(value));
  std::erase_if(values, [&](const auto& entry) {
    const auto& keeps = block().keeps;
    return std::find(keeps.begin(), keeps.end(), ir::ValueId{entry.first}) == keeps.end();
  });
  return ok();
}

// The first sample has been through the block when another one looks there for an equal.
Held Walk::hold(ir::ValueId value, const runtime::TensorView& view) const {
  const auto first = values_.front().find(value.index);
  if (first != values_.front().end() && same(first->second, view)) return first->second;
  const auto* data = static_cast<const std::byte*>(view.data);
  return {view.type, view.dims,
          std::make_shared<const std::vector<std::byte>>(data, data + bytes_of(view))};
}

}  // namespace thimble::calibrate
