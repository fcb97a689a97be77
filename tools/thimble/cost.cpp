#include "tools/thimble/cost.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "calibrate/blocks.h"
#include "calibrate/calibration.h"
#include "calibrate/statistics.h"
#include "eval/carry.h"
#include "ir/match.h"
#include "tools/thimble/samples.h"

namespace thimble::cli {
namespace {

// What one thread does in a second, fitted to runs over two decoders, an encoder and two CNNs on a
// Zen 4 core: between 0.5 and 1.5 of what they took.
constexpr double kWeights = 150e6;       // quantized and packed
constexpr double kProducts = 80e9;       // multiply-accumulates of products and statistics
constexpr double kResults = 140e6;       // results of products, with all that is done to them
constexpr double kCompensated = 20e9;    // multiply-accumulates of gptq, and of a Hessian's factors
constexpr double kSearched = 6e6;        // weights whose scales gptq searches
constexpr double kEncoded = 45e6;        // weights that are encoded to price an offer
constexpr double kFitted = 200;          // offers whose levels are fitted
constexpr double kLogits = 30e6;         // compared with the float model's
constexpr double kCompensatedRows = 48;  // that an offer is tried on

constexpr std::int64_t kCalls = 16;  // of a data set that isn't named yet
constexpr std::uint64_t kBytesPerToken = 3;

constexpr double kProgram = 15e6;        // bytes, with the code
constexpr double kBatch = 12e6;          // of packed weights in the writer's hands, twice
constexpr double kPackedBytes = 0.6;     // of a weight, before its encoding is known
constexpr double kThreadBytes = 16e6;    // of weights that a thread decodes at a time
constexpr double kStatistics = 1 << 30;  // that gptq gathers at a time
constexpr double kLingering = 1.65;      // of a batch's source, with pages that go later

// A weight that is multiplied.
struct Product {
  std::uint32_t input = 0;  // the value that it multiplies
  double rows = 0, inputs = 0, groups = 1;
  double positions = 0;  // of one sample
  std::size_t block = 0;

  double macs() const { return positions * rows * inputs; }
};

class Shapes {
 public:
  Shapes(const ir::Model& model, std::int64_t tokens)
      : model_(model), tokens_(static_cast<double>(tokens)) {}

  // Of one sample: what is left open is its length.
  double elements(ir::ValueId id) const {
    const auto& shape = model_.graph.value(id).shape;
    if (!shape) return 0;
    double count = 1;
    bool open = false;
    for (const ir::Dim& dim : *shape) {
      if (dim.constant())
        count *= static_cast<double>(std::max<std::int64_t>(*dim.constant(), 0));
      else
        open = true;
    }
    return open ? count * tokens_ : count;
  }

 private:
  const ir::Model& model_;
  double tokens_;
};

std::vector<Product> products_of(const ir::Model& model,
                                 const std::vector<calibrate::Block>& blocks,
                                 const Shapes& shapes) {
  std::map<std::uint32_t, std::size_t> block_of;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    for (const ir::NodeId node : blocks[b].nodes) block_of[node.index] = b;
  }
  std::vector<Product> all;
  for (const ir::WeightUse& use : ir::quantizable_weights(model)) {
    for (const ir::NodeId node : use.nodes) {
      Product product;
      ir::ValueId output;
      if (const auto conv = ir::match_convolution(model, node)) {
        product = {conv->input.index, static_cast<double>(conv->outputs),
                   static_cast<double>(conv->inputs), static_cast<double>(conv->group)};
        output = conv->output;
      } else if (const auto linear = ir::match_linear(model, node)) {
        product = {linear->input.index, static_cast<double>(linear->rows),
                   static_cast<double>(linear->inputs)};
        output = linear->output;
      } else {
        continue;
      }
      product.positions = shapes.elements(output) / std::max(1.0, product.rows);
      product.block = block_of[node.index];
      all.push_back(product);
    }
  }
  return all;
}

// Queries with keys and weights with values, half of each masked.
double attention_macs(const ir::Model& model, const Shapes& shapes, std::int64_t tokens) {
  double macs = 0;
  for (const ir::NodeId id : model.graph.order()) {
    const ir::Node& node = model.graph.node(id);
    if (node.op == "Attention" && !node.inputs.empty())
      macs += shapes.elements(node.inputs[0]) * static_cast<double>(tokens);
  }
  return macs;
}

class Estimate {
 public:
  Estimate(const ir::Model& model, const Samples& samples)
      : model_(model),
        samples_(samples),
        shapes_(model, samples.tokens),
        blocks_(calibrate::cut_into_blocks(model)),
        products_(products_of(model, blocks_, shapes_)) {}

  // One run of all samples.
  double forward() const {
    double macs = attention_macs(model_, shapes_, samples_.tokens), results = 0;
    for (const Product& product : products_) {
      macs += product.macs();
      results += product.positions * product.rows;
    }
    return count() * (macs / kProducts + results / kResults);
  }

  // Observed, factored and compensated.
  double compensation() const {
    double seconds = 0;
    std::set<std::pair<std::uint32_t, double>> seen;  // inputs
    for (const Product& p : products_) {
      const double square = p.inputs * p.inputs;
      seconds += p.rows * square / 2 / kCompensated + p.rows * p.inputs / kSearched;
      if (!seen.emplace(p.input, p.inputs).second) continue;
      seconds += p.groups * p.positions * count() * square / 2 / kProducts;
      seconds += p.groups * square * p.inputs / kCompensated;
    }
    return seconds;
  }

  // Factors for errors, on a few rows of each offer.
  double tried_compensation(double offers) const {
    double seconds = 0;
    for (const Product& p : products_)
      seconds +=
          offers * std::min(p.rows, kCompensatedRows) * p.inputs * p.inputs / 2 / kCompensated;
    return seconds;
  }

  std::size_t products() const { return products_.size(); }

  // What the samples hold at the fullest boundary that is kept, and what one takes to run through
  // the widest block.
  double boundary() const {
    double most = input_bytes();
    for (const calibrate::Block& block : blocks_) {
      double bytes = 0;
      for (const ir::ValueId value : block.keeps) bytes += 4 * shapes_.elements(value);
      bytes *= count();
      const bool kept = block.layer >= 0 || bytes <= static_cast<double>(calibrate::kBoundaryBytes);
      if (kept) most = std::max(most, bytes);
    }
    return most;
  }
  double running() const {
    double most = 0;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      double weights = 0, values = 0;
      for (const Product& p : products_) {
        if (p.block != b) continue;
        weights += 4 * p.rows * p.inputs;
        values = std::max(values, 4 * p.positions * (p.rows + p.inputs * p.groups));
      }
      most = std::max(most, weights + values);
    }
    return most;
  }
  double statistics() const {
    std::map<std::size_t, double> sums;  // by block
    std::set<std::pair<std::uint32_t, double>> seen;
    double factors = 0;
    for (const Product& p : products_) {
      if (!seen.emplace(p.input, p.inputs).second) continue;
      const double square = p.groups * p.inputs * p.inputs;
      sums[p.block] += 12 * square;
      factors = std::max(factors, 24 * square);
    }
    double most = 0;
    for (const auto& [block, bytes] : sums) most = std::max(most, bytes);
    return std::min(most, kStatistics) + factors;
  }

 private:
  double count() const { return static_cast<double>(samples_.count); }
  double input_bytes() const {
    double bytes = 0;
    for (const ir::ValueId input : model_.graph.inputs()) {
      if (!calibrate::is_state(model_, model_.graph.value(input).name))
        bytes += 4 * shapes_.elements(input);
    }
    return bytes * count();
  }

  const ir::Model& model_;
  Samples samples_;
  Shapes shapes_;
  std::vector<calibrate::Block> blocks_;
  std::vector<Product> products_;
};

double logits_of(const ir::Model& model) {
  double width = 0;
  for (const ir::ValueId output : model.graph.outputs()) {
    const auto& shape = model.graph.value(output).shape;
    if (shape && !shape->empty() && shape->back().constant())
      width = std::max(width, static_cast<double>(*shape->back().constant()));
  }
  return width;
}

// `slopes`: of what they run on.
double budget_seconds(const ir::Model& model, const BudgetWork& work, const Estimate& slopes) {
  const Estimate whole(model, work.whole);
  const bool language = model.task == ir::Task::kGenerate;
  const auto compared = [&](const Samples& samples) {
    return language ? static_cast<double>(samples.count * samples.tokens) / 2 * logits_of(model) /
                          kLogits
                    : 0;
  };
  double seconds = work.encoded / kEncoded + work.fitted / kFitted;
  if (work.compensates && slopes.products() > 0) {
    seconds +=
        slopes.tried_compensation(work.encoded / 131072 / static_cast<double>(slopes.products()));
  }
  seconds += 2 * slopes.forward();
  seconds += static_cast<double>(work.trials) * (slopes.forward() / 2 + compared(work.slopes));
  return seconds + work.measured * (2 * whole.forward() + compared(work.whole));
}

// A phase's memory: its own, and what it touches of the mapped source.
struct Memory {
  double own = 0, mapped = 0;
};

// Of the largest weight on its way into the file.
Memory writing_memory(const ir::Model& model, int threads) {
  Memory most;
  for (const ir::Weight& weight : model.weights) {
    if (weight.source == nullptr) continue;
    const auto count = static_cast<double>(std::max<std::int64_t>(1, weight.element_count()));
    const double batch = std::min(count, kBatch / kPackedBytes), decoded = 4 * batch;
    most.own = std::max(most.own,
                        2 * batch * kPackedBytes +
                            (threads == 1 ? decoded : std::min(decoded, threads * kThreadBytes)));
    most.mapped =
        std::max(most.mapped, kLingering * static_cast<double>(weight.byte_size()) * batch / count);
  }
  return most;
}

Memory budget_memory(const ir::Model& model, const BudgetWork& budget, const Estimate& slopes) {
  const double width = model.task == ir::Task::kGenerate ? logits_of(model) : 0;
  const double rows = static_cast<double>(budget.slopes.count * budget.slopes.tokens) / 2;
  return {slopes.boundary() + slopes.running() + 2 * 4 * rows * width,
          static_cast<double>(model.weight_bytes())};
}

}  // namespace

Expected<Samples> samples_in(const ir::Model& model, const recipe::DataSet& set,
                             std::int64_t most) {
  THIMBLE_ASSIGN(const auto states, eval::parse_states(set.states));
  const auto inputs = eval::without_states(calibrate::input_specs(model), states);
  THIMBLE_ASSIGN(const auto source, open_samples(set, inputs));
  const auto all = static_cast<std::int64_t>(source->size());
  Samples samples{most == 0 ? all : std::min(all, most), 1};
  THIMBLE_ASSIGN(const std::vector<data::Array> first, source->read(0));
  for (const data::InputSpec& input : inputs) {
    const data::Array* array = data::find(first, input.name);
    for (std::size_t d = 0; array != nullptr && d < input.dims.size(); ++d) {
      if (input.dims[d] < 0 && d < array->dims.size())
        samples.tokens = std::max(samples.tokens, array->dims[d]);
    }
  }
  return samples;
}

Expected<Samples> calibration_samples(const ir::Model& model, const recipe::Recipe& recipe) {
  const recipe::CalibrationSource& source = recipe.calibration;
  if (pass::first_calibrated(recipe.passes) == nullptr) return Samples{};
  if (!source.data.empty()) return samples_in(model, source.data, source.data.samples);
  if (model.tokenizer.empty()) return Samples{kCalls, 1};
  const calibrate::TextOptions options{source.tokens, source.context, source.stride};
  THIMBLE_ASSIGN(const data::WindowOptions windows, calibrate::window_options(model, options));
  Samples samples{windows.max_windows, windows.context};
  std::error_code error;
  const auto bytes = std::filesystem::file_size(source.text, error);
  if (!error) {
    const auto tokens = static_cast<std::int64_t>(bytes / kBytesPerToken);
    samples.count = std::clamp<std::int64_t>(tokens / samples.tokens, 1, samples.count);
  }
  return samples;
}

Cost cost_of(const ir::Model& model, const Samples& calibration, const BudgetWork& budget,
             int threads) {
  Cost cost;
  cost.weights = static_cast<double>(model.parameter_count()) / kWeights;
  std::vector<Memory> phases = {writing_memory(model, threads)};
  if (calibration.count > 0) {
    const Estimate estimate(model, calibration);
    cost.calibration = 2 * estimate.forward() + estimate.compensation();
    phases.push_back({estimate.boundary() + estimate.running() + estimate.statistics(), 0});
  }
  if (budget.trials > 0) {
    const Estimate slopes(model, budget.slopes);
    cost.budget = budget_seconds(model, budget, slopes);
    phases.push_back(budget_memory(model, budget, slopes));
  }
  for (const Memory& phase : phases) {
    cost.memory = std::max(cost.memory, static_cast<std::uint64_t>(kProgram + phase.own));
    cost.resident =
        std::max(cost.resident, static_cast<std::uint64_t>(kProgram + phase.own + phase.mapped));
  }
  return cost;
}

}  // namespace thimble::cli
