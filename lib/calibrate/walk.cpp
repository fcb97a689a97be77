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
                            ThreadPool& pool, std::uint64_t boundary_bytes) {
  if (samples.empty()) {
    return invalid_argument("the calibration holds nothing to run the model on")
        .fix(
            "add `calibrate: {text: FILE}` to the recipe: an importance matrix alone serves only "
            "`importance: true`");
  }
  Walk walk(model, pool, boundary_bytes);
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

// What is held and read from there to the end of the block.
std::vector<ir::ValueId> Walk::entering() const {
  std::vector<ir::ValueId> values;
  for (std::size_t b = held_from_; b <= position_; ++b) {
    for (const ir::ValueId value : blocks_[b].reads) {
      const bool known = std::find(values.begin(), values.end(), value) != values.end();
      if (!known && values_.front().contains(value.index)) values.push_back(value);
    }
  }
  return values;
}

// What later blocks read of all that runs with the block.
std::vector<ir::ValueId> Walk::leaving() const {
  std::vector<ir::ValueId> values;
  for (const ir::ValueId value : block().keeps) {
    if (!values_.front().contains(value.index)) values.push_back(value);
  }
  return values;
}

// The walk's block, ready to run on one sample after the other.
class Walk::BlockRun {
 public:
  static Expected<std::unique_ptr<BlockRun>> create(const Walk& walk,
                                                    std::span<const ir::ValueId> watch,
                                                    const RunOptions& options) {
    THIMBLE_CHECK(!walk.done(), "a block is left to run");
    std::vector<ir::ValueId> outputs(watch.begin(), watch.end());
    std::unique_ptr<BlockRun> run(new BlockRun(walk));
    run->leaving_ = walk.leaving();
    if (options.move) outputs.insert(outputs.end(), run->leaving_.begin(), run->leaving_.end());
    run->part_ = ir::extract(*walk.model_, walk.entering(), outputs);
    THIMBLE_ASSIGN(run->bundle_, lower::load(run->part_, *walk.pool_));
    runtime::SessionOptions session_options;
    session_options.cache_from_program = false;
    session_options.float_activations = options.float_activations;
    for (const Values& values : walk.values_)
      session_options.max_context = std::max(session_options.max_context, longest(values));
    session_options.max_tokens = session_options.max_context;  // a sample goes in at once
    THIMBLE_ASSIGN(run->session_,
                   runtime::Session::create(run->bundle_, *walk.pool_, session_options));
    return run;
  }

  Status run(std::size_t sample) {
    THIMBLE_TRY(system::check_interrupt());
    const Values& values = walk_.values_[sample];
    std::vector<runtime::TensorView> inputs;
    for (const ir::ValueId input : part_.graph.inputs()) {
      const std::string& name = part_.graph.value(input).name;
      if (is_state(part_, name)) continue;
      const auto held = values.find(walk_.model_->graph.find_value(name)->index);
      THIMBLE_CHECK(held != values.end(), "a boundary holds what the block reads: " + name);
      inputs.push_back(held->second.view());
    }
    session_->reset();
    return session_->run(inputs);
  }

  const std::vector<ir::ValueId>& leaving() const { return leaving_; }
  // Of a value that is watched or leaves; valid until the next run.
  const runtime::TensorView& output(ir::ValueId value) const {
    const auto& outputs = part_.graph.outputs();
    const std::string& name = walk_.model_->graph.value(value).name;
    const auto place = std::find(outputs.begin(), outputs.end(), part_.graph.find_value(name));
    return session_->outputs()[static_cast<std::size_t>(place - outputs.begin())];
  }

 private:
  explicit BlockRun(const Walk& walk) : walk_(walk) {}

  const Walk& walk_;
  std::vector<ir::ValueId> leaving_;
  ir::Model part_;
  program::Bundle bundle_;
  std::unique_ptr<runtime::Session> session_;  // points at the bundle
};

Status Walk::run(std::span<const ir::ValueId> watch, const Watcher& watcher,
                 const RunOptions& options) {
  THIMBLE_ASSIGN(const auto run, BlockRun::create(*this, watch, options));
  for (std::size_t s = 0; s < values_.size(); ++s) {
    THIMBLE_TRY(run->run(s));
    for (std::size_t w = 0; w < watch.size(); ++w)
      THIMBLE_TRY(watcher(s, w, run->output(watch[w])));
    if (options.move) move_sample(s, *run);
  }
  if (options.move) go_on();
  return ok();
}

Status Walk::run_beside(Walk& other, std::span<const ir::ValueId> watch, const PairWatcher& watcher,
                        const RunOptions& options, const RunOptions& others) {
  THIMBLE_CHECK(position_ == other.position_ && samples() == other.samples(),
                "the walks are at the same block");
  THIMBLE_ASSIGN(const auto run, BlockRun::create(*this, watch, options));
  THIMBLE_ASSIGN(const auto other_run, BlockRun::create(other, watch, others));
  for (std::size_t s = 0; s < values_.size(); ++s) {
    THIMBLE_TRY(run->run(s));
    THIMBLE_TRY(other_run->run(s));
    for (std::size_t w = 0; w < watch.size(); ++w)
      THIMBLE_TRY(watcher(s, w, run->output(watch[w]), other_run->output(watch[w])));
    if (options.move) move_sample(s, *run);
    if (others.move) other.move_sample(s, *other_run);
  }
  if (options.move) go_on();
  if (others.move) other.go_on();
  return ok();
}

void Walk::move_sample(std::size_t sample, const BlockRun& run) {
  if (sample == 0) holds_ = block().layer >= 0 || fits(run);
  if (!holds_) return;
  Values& values = values_[sample];
  for (const ir::ValueId value : run.leaving())
    values[value.index] = hold(value, run.output(value));
  std::erase_if(values, [&](const auto& entry) {
    const auto& keeps = block().keeps;
    return std::find(keeps.begin(), keeps.end(), ir::ValueId{entry.first}) == keeps.end();
  });
}

// Would all samples' values at the next boundary, if they are as large as this one's?
bool Walk::fits(const BlockRun& run) const {
  std::uint64_t bytes = 0;
  for (const ir::ValueId value : run.leaving()) bytes += bytes_of(run.output(value));
  return bytes * samples() <= boundary_bytes_;
}

void Walk::go_on() {
  position_ += 1;
  if (holds_) held_from_ = position_;
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
