#include "allocate/knapsack.h"

#include "unit/catch.h"

using namespace thimble;
using namespace thimble::allocate;

namespace {

// A small generator of our own: what matters is that every run has the same instances.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  std::uint64_t below(std::uint64_t bound) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return (state_ >> 33) % bound;
  }

 private:
  std::uint64_t state_;
};

std::vector<Item> random_items(Numbers& numbers, std::size_t count, std::uint64_t most_bytes) {
  std::vector<Item> items(count);
  for (Item& item : items) {
    const std::size_t options = 1 + numbers.below(5);
    for (std::size_t o = 0; o < options; ++o)
      item.push_back({1 + numbers.below(most_bytes), static_cast<double>(numbers.below(1000))});
  }
  return items;
}

// The least cost by trying everything; negative: nothing fits.
double brute_force(const std::vector<Item>& items, std::uint64_t capacity) {
  double best = -1;
  std::vector<std::size_t> options(items.size(), 0);
  for (;;) {
    const Selection now = select(items, options);
    if (now.bytes <= capacity && (best < 0 || now.cost < best)) best = now.cost;
    std::size_t i = 0;
    while (i < items.size() && ++options[i] == items[i].size()) options[i++] = 0;
    if (i == items.size()) return best;
  }
}

// Weights of a network: errors fall by four with each bit, as those of quantization do.
std::vector<Item> network(Numbers& numbers, std::size_t count) {
  std::vector<Item> items(count);
  for (Item& item : items) {
    const std::uint64_t weights = 4096 * (1 + numbers.below(64));
    double cost = 1e-3 * static_cast<double>(1 + numbers.below(100));
    for (std::uint64_t bits = 2; bits <= 8; ++bits, cost /= 4) {
      item.push_back({weights * bits / 8 + weights / 16, cost});
      item.push_back({weights * bits / 8 + weights / 64, cost * 1.3});
    }
  }
  return items;
}

}  // namespace

TEST_CASE("the knapsack is exact where bytes are few") {
  Numbers numbers(7);
  int solved = 0;
  for (int instance = 0; instance < 300; ++instance) {
    const std::vector<Item> items = random_items(numbers, 1 + numbers.below(6), 60);
    const std::uint64_t capacity = numbers.below(250);
    const double best = brute_force(items, capacity);
    const std::optional<Selection> found = solve(items, capacity);
    REQUIRE(found.has_value() == (best >= 0));
    if (!found) continue;
    solved += 1;
    CHECK(found->cost == best);
    CHECK(found->bytes <= capacity);
  }
  CHECK(solved > 100);
}

TEST_CASE("a budget is met to within half a percent and never exceeded") {
  Numbers numbers(11);
  for (int instance = 0; instance < 10; ++instance) {
    const std::vector<Item> items = network(numbers, 60);
    const std::uint64_t least = smallest(items).bytes;
    for (const double share : {1.01, 1.3, 1.77, 2.2}) {
      const auto capacity = static_cast<std::uint64_t>(static_cast<double>(least) * share);
      const std::optional<Selection> found = solve(items, capacity);
      REQUIRE(found.has_value());
      CHECK(found->bytes <= capacity);
      CHECK(static_cast<double>(found->bytes) >= 0.995 * static_cast<double>(capacity));
    }
    CHECK(!solve(items, least - 1).has_value());
  }
}

TEST_CASE("the front falls in cost as it rises in bytes, and the knapsack is never above it") {
  Numbers numbers(13);
  const std::vector<Item> items = network(numbers, 20);
  const ConvexFront front(items);
  REQUIRE(front.size() > 20);
  CHECK(front[0].bytes == smallest(items).bytes);
  for (std::size_t i = 1; i < front.size(); ++i) {
    CHECK(front[i].bytes > front[i - 1].bytes);
    CHECK(front[i].cost < front[i - 1].cost);
    if (i % 8 == 0) {
      const Selection selection = select(items, front.selection(i).options);
      CHECK((selection.bytes == front[i].bytes && selection.cost == front[i].cost));
      const std::optional<Selection> found = solve(items, front[i].bytes);
      REQUIRE(found.has_value());
      CHECK(found->cost <= front[i].cost * (1 + 1e-12));
    }
  }
}
