#include <algorithm>
#include <cmath>
#include <optional>

#include "allocate/allocate.h"
#include "allocate/divergence.h"
#include "allocate/errors.h"
#include "allocate/kept.h"
#include "calibrate/calibration.h"
#include "calibrate/observe.h"
#include "ir/match.h"
#include "support/math.h"

namespace thimble::allocate {
namespace {

// What measures as nothing still counts as something, or its bits would be free to take.
constexpr double kLeastDivergence = 1e-9;

// Weights that share a slope, and what was measured of them.
struct Group {
  std::vector<std::size_t> weights;  // of the survey
  struct Point {
    double error = 0, divergence = 0;
  };
  std::vector<Point> points;  // by anchor
};

// The encoding offered that is nearest to so many bits, in groups nearest to 32.
std::size_t anchor(const Survey::Open& open, int bits) {
  std::size_t best = 0;
  double least = 1e300;
  for (std::size_t i = 0; i < open.wish.offers.size(); ++i) {
    const ir::Encoding& encoding = open.wish.offers[i].encoding;
    if (encoding.is_dense()) continue;
    const double group = encoding.group_size == 0 ? 4096 : static_cast<double>(encoding.group_size);
    const double distance = 1e6 * std::abs(encoding.bits - bits) + std::abs(group - 32);
    if (distance < least) {
      least = distance;
      best = i;
    }
  }
  return best;
}

// The bits of the encodings that a group is measured in.
std::span<const int> anchors_of(pass::Sensitivity sensitivity) {
  static constexpr int kBits[] = {3, 5};
  return std::span(kBits).first(sensitivity == pass::Sensitivity::kKl ? 2 : 1);
}

// The places of weights that share a slope: those of one role in one layer. What lies outside the
// layers is alone, and so is each where the budget says so.
template <class Weight>
std::vector<std::vector<std::size_t>> share_slopes(std::span<const Weight> weights,
                                                   pass::Sensitivity sensitivity) {
  std::vector<std::vector<std::size_t>> shared;
  std::map<std::pair<int, std::string>, std::size_t> known;
  for (std::size_t w = 0; w < weights.size(); ++w) {
    const bool alone = sensitivity == pass::Sensitivity::kKl || weights[w].layer < 0;
    const auto [place, is_new] = known.emplace(
        std::pair(alone ? -1 - static_cast<int>(w) : weights[w].layer, weights[w].role),
        shared.size());
    if (is_new) shared.emplace_back();
    shared[place->second].push_back(w);
  }
  return shared;
}

std::vector<Group> groups_of(const Survey& survey, pass::Sensitivity sensitivity) {
  std::vector<Group> groups;
  for (auto& weights : share_slopes(std::span(survey.weights), sensitivity))
    groups.push_back({std::move(weights), {}});
  return groups;
}

bool compensates(const Survey& survey) {
  return std::any_of(survey.weights.begin(), survey.weights.end(),
                     [](const Survey::Open& open) { return open.wish.compensates; });
}

bool contains(const std::vector<ir::ValueId>& all, ir::ValueId one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

// Measures the errors of all open weights, block by block as the samples pass through the model.
class ErrorRun {
 public:
  ErrorRun(const Request& request, const Kept& kept, Survey& survey)
      : request_(request),
        kept_(kept),
        survey_(survey),
        inputs_(survey.weights.size()),
        energies_(survey.weights.size()),
        errors_(survey.weights.size()) {}

  Expected<std::vector<OfferErrors>> run(std::span<const calibrate::Sample> samples) {
    const std::size_t open = survey_.weights.size() - take_kept();
    if (open == 0) return std::move(errors_);
    find_inputs();
    request_.context.progress.begin("errors of encodings", static_cast<double>(open), "weights");
    THIMBLE_ASSIGN(calibrate::Walk walk,
                   calibrate::Walk::create(request_.model, samples, request_.context.pool));
    while (!walk.done() && !unseen_.empty()) THIMBLE_TRY(run_block(walk));
    for (std::size_t w = 0; w < errors_.size(); ++w) {
      if (!is_known(w)) THIMBLE_TRY(measure(w, nullptr));
    }
    request_.context.progress.end();
    return std::move(errors_);
  }

 private:
  bool is_known(std::size_t w) const { return !errors_[w].rounding.empty(); }

  std::size_t take_kept() {
    std::size_t found = 0;
    for (std::size_t w = 0; w < errors_.size(); ++w) {
      Survey::Open& open = survey_.weights[w];
      auto errors = kept_.find_errors(open.name, open.wish);
      if (!errors) continue;
      errors_[w] = *std::move(errors);
      ++found;
    }
    return found;
  }

  void find_inputs() {
    for (const ir::WeightUse& use : ir::quantizable_weights(request_.model)) {
      for (std::size_t w = 0; w < inputs_.size(); ++w) {
        if (use.weight == survey_.weights[w].wish.weight && !is_known(w))
          find_inputs_of(use, inputs_[w]);
      }
    }
  }

  void find_inputs_of(const ir::WeightUse& use, std::vector<ir::ValueId>& inputs) {
    for (const ir::NodeId node : use.nodes) {
      const auto linear = ir::match_linear(request_.model, node);
      if (!linear) continue;
      inputs.push_back(linear->input);
      if (!contains(unseen_, linear->input)) unseen_.push_back(linear->input);
    }
  }

  Status run_block(calibrate::Walk& walk) {
    const auto later = std::stable_partition(
        unseen_.begin(), unseen_.end(), [&](ir::ValueId input) { return walk.at_hand(input); });
    const std::vector<ir::ValueId> here(unseen_.begin(), later);
    unseen_.erase(unseen_.begin(), later);
    const auto products =
        compensates(survey_) ? calibrate::Products::kGram : calibrate::Products::kNone;
    THIMBLE_ASSIGN(const calibrate::Statistics statistics,
                   calibrate::observe_block(walk, here, products, {.move = !unseen_.empty()}));
    for (const ir::ValueId input : here) THIMBLE_TRY(add(input, statistics.at(input)));
    return ok();
  }

  // A weight that compensates reads one input and is done with it; others may read several.
  Status add(ir::ValueId input, const calibrate::InputStatistics& seen) {
    std::optional<quant::GptqFactors> factors;
    for (std::size_t w = 0; w < inputs_.size(); ++w) {
      if (!contains(inputs_[w], input)) continue;
      energies_[w].resize(seen.energy.size());
      for (std::size_t i = 0; i < seen.energy.size(); ++i) energies_[w][i] += seen.energy[i];
      if (!survey_.weights[w].wish.compensates) continue;
      if (!factors) {
        auto made =
            quant::gptq_factors(seen.gram, seen.width, {.act_order = true}, request_.context.pool);
        if (!made) return std::move(made).error().at_tensor(survey_.weights[w].name);
        factors = *std::move(made);
      }
      THIMBLE_TRY(measure(w, &*factors));
    }
    return ok();
  }

  Status measure(std::size_t w, const quant::GptqFactors* factors) {
    pass::OpenWeight& wish = survey_.weights[w].wish;
    THIMBLE_ASSIGN(errors_[w], output_errors(request_.model.weight(wish.weight), survey_.items[w],
                                             energies_[w], factors, request_.context.pool, wish));
    request_.context.progress.advance(1);
    return kept_.add_errors(survey_.weights[w].name, errors_[w], wish);
  }

  const Request& request_;
  const Kept& kept_;
  Survey& survey_;
  std::vector<ir::ValueId> unseen_;
  // By weight.
  std::vector<std::vector<ir::ValueId>> inputs_;
  std::vector<std::vector<double>> energies_;  // empty: no product reads it
  std::vector<OfferErrors> errors_;
};

// The divergence that a group's error predicts: through the origin for one point, a power law
// through two.
double predict(const Group& group, double error) {
  if (error <= 0) return 0;
  const Group::Point& a = group.points.front();
  if (a.error <= 0) return 0;
  const double at_a = std::max(a.divergence, kLeastDivergence);
  double exponent = 1;
  if (group.points.size() > 1) {
    const Group::Point& b = group.points.back();
    const double at_b = std::max(b.divergence, kLeastDivergence);
    if (b.error > 0 && b.error != a.error)
      exponent = math::log(at_b / at_a) / math::log(b.error / a.error);
    exponent = std::clamp(exponent, 0.5, 1.5);
  }
  return at_a * math::pow(error / a.error, exponent);
}

std::string divergence_key(const Survey& survey, const Group& group, std::size_t point) {
  std::string key = "budget " + std::to_string(point);
  for (const std::size_t w : group.weights) key += " " + survey.weights[w].name;
  return key;
}

class Measurement {
 public:
  Measurement(const Request& request, const Survey& survey, const Kept& kept)
      : request_(request), survey_(survey), kept_(kept) {}

  // Adds to each group what its weights cost in the anchor of so many bits.
  Status add_points(std::span<const calibrate::Sample> samples,
                    const std::vector<OfferErrors>& errors, int bits, std::vector<Group>& groups) {
    std::vector<Trial> trials;
    std::vector<std::size_t> of;  // group of each trial
    for (std::size_t g = 0; g < groups.size(); ++g) {
      Group& group = groups[g];
      Trial trial;
      Group::Point point;
      for (const std::size_t w : group.weights) {
        const pass::OpenWeight& wish = survey_.weights[w].wish;
        const std::size_t option = anchor(survey_.weights[w], bits);
        const ir::Encoding& encoding = wish.offers[option].encoding;
        if (encoding.is_dense()) continue;
        trial.push_back({wish.weight, encoding, wish.search});
        point.error += errors[w].rounding[option];
      }
      group.points.push_back(point);
      if (trial.empty() || take_kept(group)) continue;
      trials.push_back(std::move(trial));
      of.push_back(g);
    }
    request_.context.progress.begin("sensitivity", static_cast<double>(trials.size()), "trials");
    THIMBLE_TRY(measure(request_.model, samples, trials, request_.context.pool,
                        [&](std::size_t trial, double divergence) -> Status {
                          Group& group = groups[of[trial]];
                          group.points.back().divergence = divergence;
                          request_.context.progress.advance(1);
                          return kept_.add_divergence(key_of(group), divergence);
                        }));
    request_.context.progress.end();
    return ok();
  }

 private:
  // Of the last point, the one that is being added.
  std::string key_of(const Group& group) const {
    return divergence_key(survey_, group, group.points.size());
  }
  bool take_kept(Group& group) const {
    const std::optional<double> divergence = kept_.find_divergence(key_of(group));
    if (divergence) group.points.back().divergence = *divergence;
    return divergence.has_value();
  }

  const Request& request_;
  const Survey& survey_;
  const Kept& kept_;
};

}  // namespace

std::size_t trial_count(std::span<const ir::WeightUse> weights, pass::Sensitivity sensitivity) {
  return share_slopes(weights, sensitivity).size() * anchors_of(sensitivity).size();
}

Status estimate(const Request& request, std::span<const calibrate::Sample> samples,
                const calibrate::Journal* journal, Survey& survey) {
  const calibrate::Calibration* calibration = request.context.calibration;
  const bool calibrated = compensates(survey) && calibration != nullptr;
  const Kept kept(journal);
  THIMBLE_ASSIGN(
      const std::vector<OfferErrors> errors,
      ErrorRun(request, kept, survey).run(calibrated ? calibration->samples() : samples));
  const pass::Sensitivity sensitivity = request.budget.sensitivity;
  std::vector<Group> groups = groups_of(survey, sensitivity);
  Measurement measurement(request, survey, kept);
  for (const int bits : anchors_of(sensitivity))
    THIMBLE_TRY(measurement.add_points(samples, errors, bits, groups));
  for (const Group& group : groups) {
    for (const std::size_t w : group.weights) {
      for (std::size_t o = 0; o < survey.items[w].size(); ++o)
        survey.items[w][o].cost = predict(group, errors[w].written[o]);
    }
  }
  return ok();
}

}  // namespace thimble::allocate
