#include "eval/tensors.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "eval/bootstrap.h"
#include "support/half.h"
#include "support/math.h"
#include "support/system.h"

namespace thimble::eval {
namespace {

template <class T>
void append(const runtime::TensorView& view, std::vector<double>& out) {
  const auto* values = static_cast<const T*>(view.data);
  for (std::int64_t i = 0; i < view.count(); ++i) out.push_back(static_cast<double>(values[i]));
}

// Outputs as numbers; kinds that are no numbers to compare are left out.
void append(const runtime::TensorView& view, std::vector<double>& out) {
  if (view.data == nullptr) return;
  switch (view.type) {
    case program::Type::kF32:
      return append<float>(view, out);
    case program::Type::kF64:
      return append<double>(view, out);
    case program::Type::kI64:
      return append<std::int64_t>(view, out);
    case program::Type::kI32:
      return append<std::int32_t>(view, out);
    case program::Type::kI8:
      return append<std::int8_t>(view, out);
    case program::Type::kU8:
    case program::Type::kBool:
      return append<std::uint8_t>(view, out);
    case program::Type::kF16: {
      const auto* halves = static_cast<const std::uint16_t*>(view.data);
      for (std::int64_t i = 0; i < view.count(); ++i) out.push_back(half_to_float(halves[i]));
      return;
    }
    default:
      return;
  }
}

struct Result {
  std::vector<double> all;
  std::size_t first = 0;  // elements of the first output
  std::int64_t top() const {
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(first);
    return std::max_element(all.begin(), end) - all.begin();
  }
};

Expected<Result> result_of(CarryingSession& session, std::vector<data::Array> arrays, bool begins) {
  THIMBLE_TRY(session.call(arrays, begins));
  Result result;
  for (const runtime::TensorView& view : session.outputs()) {
    append(view, result.all);
    if (result.first == 0) result.first = result.all.size();
  }
  if (result.all.empty()) return unsupported("the model gives no numbers to compare");
  return result;
}

void compare(const Result& candidate, const Result& reference, CallScore& score) {
  double dot = 0, own = 0;
  for (std::size_t i = 0; i < reference.all.size(); ++i) {
    const double c = candidate.all[i], r = reference.all[i];
    dot += c * r;
    own += c * c;
    score.signal += r * r;
    score.noise += (c - r) * (c - r);
  }
  const double scale = std::sqrt(own) * std::sqrt(score.signal);
  score.cosine = scale > 0 ? dot / scale : (own == score.signal ? 1 : 0);
  score.same_top = candidate.top() == reference.top();
}

double decibels(double ratio) { return 10 / math::log(10.0) * math::log(ratio); }

// What every figure is made of: sums over some of the calls.
struct Sums {
  double count = 0, right = 0, reference_right = 0, same = 0, cosine = 0, noise = 0, signal = 0;
};

Sums sum_of(const std::vector<CallScore>& calls, const std::vector<std::size_t>& indices) {
  Sums sums;
  for (const std::size_t i : indices) {
    const CallScore& call = calls[i];
    sums.count += 1;
    sums.right += call.right ? 1 : 0;
    sums.reference_right += call.reference_right ? 1 : 0;
    sums.same += call.same_top ? 1 : 0;
    sums.cosine += call.cosine;
    sums.noise += call.noise;
    sums.signal += call.signal;
  }
  return sums;
}

// Outputs that are equal have no noise: the largest figure that f64 can tell from it.
double sqnr(const Sums& sums) {
  constexpr double kExact = 320;
  return sums.noise > 0 ? std::min(kExact, decibels(sums.signal / sums.noise)) : kExact;
}

}  // namespace

Expected<TensorScores> score_tensors(const program::Bundle& candidate,
                                     const program::Bundle* reference,
                                     const data::SampleSource& source, ThreadPool& pool,
                                     const TensorScoreOptions& options) {
  THIMBLE_ASSIGN(CarryingSession own,
                 CarryingSession::create(candidate, options.states, pool, options.candidate));
  std::optional<CarryingSession> other;
  if (reference != nullptr) {
    const auto exact = runtime::SessionOptions::exact();
    THIMBLE_ASSIGN(other, CarryingSession::create(*reference, options.states, pool, exact));
  }
  TensorScores scores;
  scores.has_reference = reference != nullptr;
  const std::size_t count =
      options.max_calls == 0 ? source.size() : std::min(source.size(), options.max_calls);
  for (std::size_t i = 0; i < count; ++i) {
    THIMBLE_TRY(system::check_interrupt());
    THIMBLE_ASSIGN(const std::vector<data::Array> arrays, source.read(i));
    THIMBLE_ASSIGN(const Result result, result_of(own, arrays, source.begins(i)));
    CallScore score;
    const std::optional<std::int64_t> label = source.label(i);
    score.labelled = label.has_value();
    score.right = label && result.top() == *label;
    if (other) {
      THIMBLE_ASSIGN(const Result expected, result_of(*other, arrays, source.begins(i)));
      if (expected.all.size() != result.all.size())
        return invalid_argument("the two models give outputs of different sizes")
            .fix("compare copies of one model");
      compare(result, expected, score);
      score.reference_right = label && expected.top() == *label;
    }
    scores.has_labels = scores.has_labels || score.labelled;
    scores.calls.push_back(score);
    if (options.on_calls) options.on_calls(1);
  }
  return scores;
}

std::vector<Metric> summarize_tensors(const TensorScores& scores) {
  const auto interval = [&](auto figure) {
    return bootstrap(scores.calls.size(), [&](const std::vector<std::size_t>& indices) {
      return figure(sum_of(scores.calls, indices));
    });
  };
  std::vector<Metric> metrics;
  if (scores.has_labels)
    metrics.push_back({"top1_accuracy", interval([](const Sums& s) { return s.right / s.count; })});
  if (!scores.has_reference) return metrics;
  if (scores.has_labels) {
    metrics.push_back({"top1_drop", interval([](const Sums& s) {
                         return (s.reference_right - s.right) / s.count;
                       })});
  }
  metrics.push_back({"top1_agreement", interval([](const Sums& s) { return s.same / s.count; })});
  metrics.push_back({"cosine_mean", interval([](const Sums& s) { return s.cosine / s.count; })});
  double least = 1;
  for (const CallScore& call : scores.calls) least = std::min(least, call.cosine);
  metrics.push_back({"cosine_min", Interval::exact(least)});
  metrics.push_back({"sqnr_db", interval(sqnr)});
  return metrics;
}

}  // namespace thimble::eval
