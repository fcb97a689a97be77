#pragma once
// The multiple-choice knapsack: one option per item, least cost in total, at most so many bytes.
// Deterministic: ties go to the earlier option.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace thimble::allocate {

struct Option {
  std::uint64_t bytes = 0;
  double cost = 0;  // finite
};
using Item = std::vector<Option>;  // at least one option

struct Selection {
  std::vector<std::size_t> options;  // by item
  std::uint64_t bytes = 0;
  double cost = 0;
};

Selection select(const std::vector<Item>& items, std::vector<std::size_t> options);
// Of the fewest bytes.
Selection smallest(const std::vector<Item>& items);

// Dynamic programming over the bytes beyond the smallest selection in up to 2^14 units, or the best
// point of the convex front; then single and paired exchanges with the bytes left over. Exact when
// those bytes are no more than the units. Nothing: even the smallest selection is too large.
std::optional<Selection> solve(const std::vector<Item>& items, std::uint64_t capacity);

// The selections that are best for some price of a byte (Shoham, Gersho 1988), smallest first: the
// lower convex hull of what can be reached, each one step of one item from the one before. Memory:
// that of the items, not that of all selections.
class ConvexFront {
 public:
  explicit ConvexFront(const std::vector<Item>& items);
  std::size_t size() const { return totals_.size(); }  // at least 1
  const Option& operator[](std::size_t point) const { return totals_[point]; }
  Selection selection(std::size_t point) const;

 private:
  struct Step {
    double rate;  // cost saved per byte
    std::size_t item, option;
  };
  std::vector<std::size_t> first_;  // options of the smallest
  std::vector<Step> steps_;         // from each point to the next
  std::vector<Option> totals_;
};

}  // namespace thimble::allocate
