#include <algorithm>

#include "allocate/allocate.h"
#include "support/text.h"

namespace thimble::allocate {
namespace {

// Measurements that a divergence's search may take.
constexpr int kMeasurements = 10;

}  // namespace

Selection for_size(const Survey& survey, std::uint64_t limit) {
  THIMBLE_CHECK(limit >= survey.fixed, "limit_of has refused what is impossible");
  std::optional<Selection> solved = solve(survey.items, limit - survey.fixed);
  THIMBLE_CHECK(solved.has_value(), "limit_of has refused what is impossible");
  return *std::move(solved);
}

// Predictions err by a factor that varies slowly along the front, so each measurement corrects the
// next guess, within what is known to fail (low) and to do (high).
Expected<Selection> for_divergence(
    const Survey& survey, double target,
    const std::function<Expected<double>(const Selection&)>& measured,
    std::vector<pass::BudgetPoint>& points) {
  const ConvexFront front(survey.items);
  const auto measure_at = [&](std::size_t at) -> Expected<double> {
    THIMBLE_ASSIGN(const double value, measured(front.selection(at)));
    points.push_back({survey.fixed + front[at].bytes, front[at].cost, value, false});
    return value;
  };
  // The first point whose prediction, corrected, is low enough.
  const auto guess = [&](double factor) {
    std::size_t at = 0;
    while (at + 1 < front.size() && front[at].cost * factor > target) ++at;
    return at;
  };
  std::size_t low = 0, high = front.size();  // [low, high) is open; `high` does, if it exists
  double factor = 1;
  for (int turn = 0; turn < kMeasurements && low < high; ++turn) {
    const bool halve = turn % 3 == 2;
    const std::size_t at =
        halve ? low + (high - low) / 2 : std::clamp(guess(factor), low, high - 1);
    THIMBLE_ASSIGN(const double value, measure_at(at));
    if (front[at].cost > 0) factor = value / front[at].cost;
    if (value <= target) {
      high = at;
    } else {
      low = at + 1;
    }
  }
  if (high < front.size()) return front.selection(high);
  if (low < front.size()) {  // measurements ran out: the largest may still do
    THIMBLE_ASSIGN(const double value, measure_at(front.size() - 1));
    if (value <= target) return front.selection(front.size() - 1);
  }
  double least = 1e300;
  for (const pass::BudgetPoint& point : points)
    if (point.measured) least = std::min(least, *point.measured);
  return Error(ErrorCode::kInvalidArgument,
               "the budget 'kl_mean: " + format_significant(target) +
                   "' is impossible: the least that these passes reach on the tune text is " +
                   format_significant(least))
      .fix("ask for more, or for finer `activations`");
}

std::vector<pass::BudgetPoint> front_of(const Survey& survey, std::size_t count) {
  const ConvexFront front(survey.items);
  std::vector<pass::BudgetPoint> points;
  const double first = static_cast<double>(front[0].bytes);
  const double step = (static_cast<double>(front[front.size() - 1].bytes) - first) /
                      static_cast<double>(std::max<std::size_t>(1, count - 1));
  for (std::size_t i = 0; i < front.size(); ++i) {
    const double next = first + step * static_cast<double>(points.size());
    if (static_cast<double>(front[i].bytes) < next) continue;
    points.push_back({survey.fixed + front[i].bytes, front[i].cost, std::nullopt, false});
  }
  return points;
}

}  // namespace thimble::allocate
