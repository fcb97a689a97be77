#include "tools/thimble/budget_work.h"

#include <algorithm>

#include "calibrate/calibration.h"
#include "ir/match.h"
#include "support/checked.h"

namespace thimble::cli {
namespace {

// Of one run over the samples that slopes are measured on: what keeps a model of 135M parameters to
// a few minutes on two cores, and the float model's outputs to 128 MiB.
constexpr std::int64_t kMostTokens = 4096;
constexpr double kMeasuredWork = 1e13;  // parameters times tokens, over all measurements
constexpr std::int64_t kHeldOutputs = std::int64_t{1} << 25;
constexpr std::int64_t kMostCalls = 64;  // of a data set that slopes are measured on

// What one sample's outputs come to, as far as the sizes are settled.
std::int64_t output_count(const ir::Model& model) {
  std::int64_t count = 1;
  for (const ir::ValueId output : model.graph.outputs()) {
    std::int64_t each = 1;
    for (const ir::Dim& dim : model.graph.value(output).shape.value_or(ir::Shape{}))
      each = checked_mul(each, std::max<std::int64_t>(1, dim.constant().value_or(1)))
                 .value_or(kHeldOutputs);
    count = std::min(kHeldOutputs, std::max(count, each));
  }
  return count;
}

}  // namespace

std::int64_t measured_calls(const ir::Model& model, const recipe::DataSet& set) {
  const std::int64_t most =
      std::clamp<std::int64_t>(kHeldOutputs / output_count(model), 1, kMostCalls);
  return set.samples == 0 ? most : std::min(most, set.samples);
}

std::int64_t measured_tokens(const ir::Model& model, const recipe::Recipe& recipe,
                             std::size_t weights) {
  const bool each = recipe.budget.sensitivity == pass::Sensitivity::kKl;
  const std::size_t trials = each ? 2 * weights : weights / 3 + 1;  // about
  const double parameters =
      static_cast<double>(std::max<std::uint64_t>(1, model.parameter_count()));
  const double tokens =
      kMeasuredWork / (parameters * static_cast<double>(std::max<std::size_t>(1, trials)));
  std::int64_t width = 1;
  for (const ir::ValueId output : model.graph.outputs()) {
    const auto& shape = model.graph.value(output).shape;
    if (shape && !shape->empty() && shape->back().constant())
      width = std::max(width, *shape->back().constant());
  }
  const std::int64_t most =
      std::min({recipe.tune.tokens, kMostTokens, std::int64_t{2} * kHeldOutputs / width});
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(tokens),
                                  std::min<std::int64_t>(1024, most), most);
}

Expected<BudgetWork> budget_work(const ir::Model& model, const recipe::Recipe& recipe) {
  BudgetWork work;
  const std::vector<ir::WeightUse> weights = ir::quantizable_weights(model);
  work.trials = std::max<std::size_t>(1, allocate::trial_count(weights, recipe.budget.sensitivity));
  const std::int64_t calls = measured_calls(model, recipe.tune.data);
  if (!recipe.tune.data.empty()) {
    THIMBLE_ASSIGN(work.slopes, samples_in(model, recipe.tune.data, calls));
    return work;
  }
  work.slopes = {calls, 1};
  if (model.tokenizer.empty()) return work;
  const calibrate::TextOptions options{measured_tokens(model, recipe, weights.size()),
                                       recipe.tune.context};
  THIMBLE_ASSIGN(const data::WindowOptions windows, calibrate::window_options(model, options));
  work.slopes = {windows.max_windows, windows.context};
  if (model.task != ir::Task::kGenerate) return work;
  work.whole = {std::max<std::int64_t>(1, recipe.tune.tokens / windows.context), windows.context};
  work.measured = recipe.budget.kind == pass::BudgetKind::kKlMean ? 6 : 1;
  return work;
}

void count_offers(const allocate::Survey& survey, const ir::Model& model, BudgetWork& work) {
  constexpr double kSampled = 1 << 17;
  for (const allocate::Survey::Open& open : survey.weights) {
    const auto count = static_cast<double>(model.weight(open.wish.weight).element_count());
    work.compensates = work.compensates || open.wish.compensates;
    for (const pass::Offer& offer : open.wish.offers) {
      if (offer.encoding.is_dense()) continue;
      work.encoded += std::min(count, kSampled);
      if (offer.fit == pass::Fit::kLevels) work.fitted += 1;
    }
  }
}

}  // namespace thimble::cli
