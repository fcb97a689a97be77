#include "allocate/knapsack.h"

#include <algorithm>
#include <limits>

#include "support/checked.h"
#include "support/error.h"

namespace thimble::allocate {
namespace {

constexpr std::uint64_t kUnits = std::uint64_t{1} << 14;
constexpr double kNever = std::numeric_limits<double>::infinity();

// Indices of the options that no other one beats in both bytes and cost: bytes rise, costs fall.
std::vector<std::size_t> undominated(const Item& item) {
  std::vector<std::size_t> order(item.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    if (item[a].bytes != item[b].bytes) return item[a].bytes < item[b].bytes;
    return item[a].cost < item[b].cost;
  });
  std::vector<std::size_t> kept;
  for (const std::size_t index : order) {
    if (kept.empty() || item[index].cost < item[kept.back()].cost) kept.push_back(index);
  }
  return kept;
}

// Of those, the ones on the lower convex hull.
std::vector<std::size_t> hull(const Item& item) {
  std::vector<std::size_t> kept;
  const auto rise = [&](std::size_t a, std::size_t b) {  // cost saved per byte from a to b
    return (item[a].cost - item[b].cost) / static_cast<double>(item[b].bytes - item[a].bytes);
  };
  for (const std::size_t index : undominated(item)) {
    while (kept.size() > 1 && rise(kept[kept.size() - 2], kept.back()) <= rise(kept.back(), index))
      kept.pop_back();
    kept.push_back(index);
  }
  return kept;
}

struct Exchange {
  std::size_t item = 0, option = 0;
  std::int64_t bytes = 0;  // more than now
  double saved = 0;        // of the cost
};

std::vector<Exchange> exchanges(const std::vector<Item>& items, const Selection& now) {
  std::vector<Exchange> all;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const Option& own = items[i][now.options[i]];
    for (const std::size_t o : undominated(items[i])) {
      if (o == now.options[i]) continue;
      const Option& other = items[i][o];
      all.push_back({i, o,
                     static_cast<std::int64_t>(other.bytes) - static_cast<std::int64_t>(own.bytes),
                     own.cost - other.cost});
    }
  }
  return all;
}

void apply(const std::vector<Item>& items, const Exchange& exchange, Selection& now) {
  now.options[exchange.item] = exchange.option;
  now = select(items, std::move(now.options));
}

// The one exchange that saves most within the bytes left; false: there is none.
bool improve_one(const std::vector<Item>& items, std::uint64_t capacity, Selection& now) {
  const auto left = static_cast<std::int64_t>(capacity - now.bytes);
  const Exchange* best = nullptr;
  const std::vector<Exchange> all = exchanges(items, now);
  for (const Exchange& exchange : all) {
    if (exchange.bytes > left || exchange.saved <= 0) continue;
    if (best == nullptr || exchange.saved > best->saved) best = &exchange;
  }
  if (best == nullptr) return false;
  apply(items, *best, now);
  return true;
}

// One item up and another one down, where that saves most.
bool improve_pair(const std::vector<Item>& items, std::uint64_t capacity, Selection& now) {
  const auto left = static_cast<std::int64_t>(capacity - now.bytes);
  std::vector<Exchange> up, down;
  for (const Exchange& exchange : exchanges(items, now)) {
    if (exchange.bytes > 0 && exchange.saved > 0) up.push_back(exchange);
    if (exchange.bytes < 0) down.push_back(exchange);
  }
  const Exchange* best_up = nullptr;
  const Exchange* best_down = nullptr;
  double best = 0;
  for (const Exchange& a : up) {
    if (a.saved <= best) continue;
    for (const Exchange& b : down) {
      if (a.item == b.item || a.bytes + b.bytes > left || a.saved + b.saved <= best) continue;
      best = a.saved + b.saved;
      best_up = &a;
      best_down = &b;
    }
  }
  if (best_up == nullptr || best <= now.cost * 1e-12) return false;
  apply(items, *best_up, now);
  apply(items, *best_down, now);
  return true;
}

// Paired exchanges look at every pair of steps, so there may not be many of them.
Selection refined(const std::vector<Item>& items, std::uint64_t capacity, Selection selection) {
  constexpr int kPairs = 50;
  for (int pair = 0; pair < kPairs; ++pair) {
    while (improve_one(items, capacity, selection)) {
    }
    if (!improve_pair(items, capacity, selection)) break;
  }
  return selection;
}

// Least cost by units of bytes beyond the smallest, one item after the other.
class Table {
 public:
  Table(const std::vector<Item>& items, std::uint64_t spare)
      : items_(items),
        unit_(std::max<std::uint64_t>(1, ceil_div(spare, kUnits))),
        width_(spare / unit_ + 1),
        cost_(width_, 0) {}

  Selection best() {
    for (const Item& item : items_) add(item);
    std::vector<std::size_t> options(items_.size());
    std::size_t at = width_ - 1;
    for (std::size_t i = items_.size(); i-- > 0;) {
      const std::size_t option = chosen_[i][at];
      options[i] = option;
      at -= units(items_[i], option);
    }
    return select(items_, std::move(options));
  }

 private:
  static std::uint64_t least(const Item& item) {
    return std::min_element(item.begin(), item.end(),
                            [](const Option& a, const Option& b) { return a.bytes < b.bytes; })
        ->bytes;
  }
  std::size_t units(const Item& item, std::size_t option) const {
    return static_cast<std::size_t>((item[option].bytes - least(item) + unit_ - 1) / unit_);
  }

  void add(const Item& item) {
    std::vector<double> next(width_, kNever);
    std::vector<std::uint16_t> chosen(width_, 0);
    for (const std::size_t option : undominated(item)) {
      const std::size_t step = units(item, option);
      for (std::size_t at = step; at < width_; ++at) {
        const double cost = cost_[at - step] + item[option].cost;
        if (!(cost < next[at])) continue;
        next[at] = cost;
        chosen[at] = static_cast<std::uint16_t>(option);
      }
    }
    cost_ = std::move(next);
    chosen_.push_back(std::move(chosen));
  }

  const std::vector<Item>& items_;
  std::uint64_t unit_;
  std::size_t width_;
  std::vector<double> cost_;
  std::vector<std::vector<std::uint16_t>> chosen_;  // by item
};

}  // namespace

Selection select(const std::vector<Item>& items, std::vector<std::size_t> options) {
  Selection selection{std::move(options), 0, 0};
  for (std::size_t i = 0; i < items.size(); ++i) {
    selection.bytes += items[i][selection.options[i]].bytes;
    selection.cost += items[i][selection.options[i]].cost;
  }
  return selection;
}

Selection smallest(const std::vector<Item>& items) {
  std::vector<std::size_t> options;
  for (const Item& item : items) options.push_back(undominated(item).front());
  return select(items, std::move(options));
}

std::optional<Selection> solve(const std::vector<Item>& items, std::uint64_t capacity) {
  const Selection least = smallest(items);
  if (least.bytes > capacity) return std::nullopt;
  // Rounding to units costs the table a little where the front's own point is the best there is.
  Selection best = refined(items, capacity, Table(items, capacity - least.bytes).best());
  const ConvexFront front(items);
  std::size_t last = front.size() - 1;
  while (front[last].bytes > capacity) --last;
  Selection other = refined(items, capacity, front.selection(last));
  if (other.cost < best.cost) best = std::move(other);
  THIMBLE_CHECK(best.bytes <= capacity, "a selection keeps within its capacity");
  return best;
}

ConvexFront::ConvexFront(const std::vector<Item>& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::vector<std::size_t> kept = hull(items[i]);
    first_.push_back(kept.front());
    for (std::size_t k = 1; k < kept.size(); ++k) {
      const Option& from = items[i][kept[k - 1]];
      const Option& to = items[i][kept[k]];
      steps_.push_back(
          {(from.cost - to.cost) / static_cast<double>(to.bytes - from.bytes), i, kept[k]});
    }
  }
  // Rates fall along an item's hull, so a stable sort keeps its steps in order.
  std::stable_sort(steps_.begin(), steps_.end(),
                   [](const Step& a, const Step& b) { return a.rate > b.rate; });
  Selection now = select(items, first_);
  totals_.push_back({now.bytes, now.cost});
  for (const Step& step : steps_) {
    now.options[step.item] = step.option;
    now = select(items, std::move(now.options));
    totals_.push_back({now.bytes, now.cost});
  }
}

Selection ConvexFront::selection(std::size_t point) const {
  Selection out{first_, totals_[point].bytes, totals_[point].cost};
  for (std::size_t s = 0; s < point; ++s) out.options[steps_[s].item] = steps_[s].option;
  return out;
}

}  // namespace thimble::allocate
