#include "allocate/divergence.h"

#include <algorithm>
#include <map>

#include "eval/score.h"
#include "ir/extract.h"
#include "ir/match.h"
#include "lower/lower.h"
#include "quant/quantize.h"
#include "runtime/session.h"
#include "support/math.h"
#include "support/system.h"

namespace thimble::allocate {
namespace {

struct Output {
  std::vector<float> values;
  std::size_t width = 0;  // of a row
};
using Outputs = std::vector<Output>;  // by sample and output

double row_kl(std::span<const float> p, std::span<const float> q) {
  const double p_lse = eval::log_sum_exp(p), q_lse = eval::log_sum_exp(q);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double log_p = p[i] - p_lse;
    sum += math::exp(log_p) * (log_p - (q[i] - q_lse));
  }
  return sum;
}

double mean_kl(const Outputs& reference, const Outputs& other, ThreadPool& pool) {
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t o = 0; o < reference.size(); ++o) {
    const std::size_t width = reference[o].width;
    std::vector<double> rows(reference[o].values.size() / width);
    pool.parallel_each(rows.size(), 1, [&](std::size_t r) {
      rows[r] = row_kl(std::span(reference[o].values).subspan(r * width, width),
                       std::span(other[o].values).subspan(r * width, width));
    });
    for (const double kl : rows) sum += kl;
    count += rows.size();
  }
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

double squared_error(const Outputs& reference, const Outputs& other) {
  double noise = 0, signal = 0;
  for (std::size_t o = 0; o < reference.size(); ++o) {
    for (std::size_t i = 0; i < reference[o].values.size(); ++i) {
      const double y = reference[o].values[i], e = y - other[o].values[i];
      noise += e * e;
      signal += y * y;
    }
  }
  return signal == 0 ? 0 : noise / signal;
}

bool is_state(const ir::Model& model, const std::string& name) {
  return std::any_of(model.states.begin(), model.states.end(), [&](const ir::State& state) {
    return state.input == name || state.output == name;
  });
}

// What comes out of the model, but states.
std::vector<ir::ValueId> float_outputs(const ir::Model& model) {
  std::vector<ir::ValueId> outputs;
  for (const ir::ValueId id : model.graph.outputs()) {
    const ir::Value& value = model.graph.value(id);
    if (!is_state(model, value.name) && value.dtype == ir::DType::kF32) outputs.push_back(id);
  }
  return outputs;
}

// The model from a boundary on, on what the walk holds there.
Expected<Outputs> run_from(const calibrate::Walk& walk, const ir::Model& model, ThreadPool& pool) {
  std::vector<ir::ValueId> boundary;
  for (const auto& [value, held] : walk.held(0)) boundary.push_back(ir::ValueId{value});
  const std::vector<ir::ValueId> wanted = float_outputs(model);
  const ir::Model part = ir::extract(model, boundary, wanted);
  THIMBLE_ASSIGN(const program::Bundle bundle, lower::load(part, pool));
  runtime::SessionOptions options = runtime::SessionOptions::exact();
  options.max_context = 1;
  for (std::size_t s = 0; s < walk.samples(); ++s) {
    for (const auto& [value, held] : walk.held(s)) {
      if (held.dims.size() > 1) options.max_context = std::max(options.max_context, held.dims[1]);
    }
  }
  options.max_tokens = options.max_context;  // a sample goes in at once
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(bundle, pool, options));
  Outputs out;
  for (std::size_t s = 0; s < walk.samples(); ++s) {
    THIMBLE_TRY(system::check_interrupt());
    std::vector<runtime::TensorView> inputs;
    for (const ir::ValueId id : part.graph.inputs()) {
      const std::string& name = part.graph.value(id).name;
      if (is_state(part, name)) continue;
      inputs.push_back(walk.held(s).at(model.graph.find_value(name)->index).view());
    }
    session->reset();
    THIMBLE_TRY(session->run(inputs));
    for (std::size_t o = 0; o < wanted.size(); ++o) {
      const runtime::TensorView& view = session->outputs()[o];
      const auto* data = static_cast<const float*>(view.data);
      const std::int64_t width = view.dims.empty() ? 1 : view.dims.back();
      out.push_back({std::vector<float>(data, data + view.count()),
                     static_cast<std::size_t>(std::max<std::int64_t>(1, width))});
    }
  }
  return out;
}

Expected<ir::Model> changed(const ir::Model& model, const std::vector<ir::WeightUse>& uses,
                            const Trial& trial) {
  ir::Model copy = model;
  for (const Change& change : trial) {
    ir::Weight& weight = copy.weight(change.weight);
    quant::SearchOptions search;
    search.search = change.search ? quant::Search::kMse : quant::Search::kAbsmax;
    THIMBLE_ASSIGN(weight.source, quant::quantized_source(weight, change.encoding, search));
    const auto use = std::find_if(uses.begin(), uses.end(), [&](const ir::WeightUse& u) {
      return u.weight == change.weight;
    });
    THIMBLE_CHECK(use != uses.end(), "a trial changes weights that products or Gathers read");
    ir::set_encoding(copy, *use, change.encoding);
  }
  return copy;
}

// The first block that reads each weight.
std::map<std::uint32_t, std::size_t> first_blocks(const ir::Model& model,
                                                  const std::vector<ir::WeightUse>& uses) {
  std::map<std::uint32_t, std::size_t> block_of, first;
  const std::vector<calibrate::Block> blocks = calibrate::cut_into_blocks(model);
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    for (const ir::NodeId node : blocks[b].nodes) block_of[node.index] = b;
  }
  for (const ir::WeightUse& use : uses) {
    std::size_t earliest = blocks.size();
    for (const ir::NodeId node : use.nodes) {
      const auto found = block_of.find(node.index);
      if (found != block_of.end()) earliest = std::min(earliest, found->second);
    }
    first[use.weight.index] = earliest == blocks.size() ? 0 : earliest;
  }
  return first;
}

}  // namespace

Status measure(const ir::Model& model, std::span<const calibrate::Sample> samples,
               std::span<const Trial> trials, ThreadPool& pool,
               const std::function<Status(std::size_t trial, double divergence)>& done) {
  if (trials.empty() || samples.empty()) return ok();
  const std::vector<ir::WeightUse> uses = ir::quantizable_weights(model);
  const auto blocks = first_blocks(model, uses);
  std::vector<std::size_t> begins;
  for (const Trial& trial : trials) {
    std::size_t begin = blocks.at(trial.front().weight.index);
    for (const Change& change : trial) begin = std::min(begin, blocks.at(change.weight.index));
    begins.push_back(begin);
  }
  const std::size_t last = *std::max_element(begins.begin(), begins.end());
  THIMBLE_ASSIGN(calibrate::Walk walk, calibrate::Walk::create(model, samples, pool));
  THIMBLE_ASSIGN(const Outputs reference, run_from(walk, model, pool));
  while (!walk.done()) {
    for (std::size_t t = 0; t < trials.size(); ++t) {
      if (begins[t] != walk.position()) continue;
      THIMBLE_ASSIGN(const ir::Model copy, changed(model, uses, trials[t]));
      THIMBLE_ASSIGN(const Outputs outputs, run_from(walk, copy, pool));
      const double divergence = model.task == ir::Task::kGenerate
                                    ? mean_kl(reference, outputs, pool)
                                    : squared_error(reference, outputs);
      THIMBLE_TRY(done(t, divergence));
    }
    if (walk.position() >= last) break;
    THIMBLE_TRY(walk.run({}, {}, {.move = true, .float_activations = true}));
  }
  return ok();
}

}  // namespace thimble::allocate
