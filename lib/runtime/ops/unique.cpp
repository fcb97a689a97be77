// Unique: the distinct elements, or the distinct slices along an axis, with where each comes from.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "runtime/ops/boxes.h"
#include "runtime/ops/selection.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

// x as [outer, count, inner]: item i is made of the elements [o, i, k].
struct Items {
  std::int64_t outer = 1, count = 0, inner = 1;
  std::size_t axis = 0;
  bool flat = true;
};

Expected<Items> items_of(const Call& call) {
  const Value& x = *call.inputs[0];
  Items out;
  out.count = x.count();
  out.flat = call.instruction.find("axis") == nullptr;
  if (out.flat) return out;
  THIMBLE_ASSIGN(out.axis, axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  out.outer = product_of(x.dims, 0, out.axis);
  out.count = x.dims[out.axis];
  out.inner = product_of(x.dims, out.axis + 1, x.dims.size());
  return out;
}

// -1, 0 or 1; NaNs come last and equal each other, as numpy has it.
template <class T>
int compare(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return static_cast<int>(std::isnan(a)) - std::isnan(b);
  }
  return static_cast<int>(a > b) - static_cast<int>(a < b);
}

template <class T>
int compare_items(const T* x, const Items& items, std::int64_t a, std::int64_t b) {
  for (std::int64_t o = 0; o < items.outer; ++o) {
    for (std::int64_t k = 0; k < items.inner; ++k) {
      const std::int64_t row = o * items.count;
      const int order = compare(x[(row + a) * items.inner + k], x[(row + b) * items.inner + k]);
      if (order != 0) return order;
    }
  }
  return 0;
}

// `found` becomes: the first item of each kind, in the order of the result; the kind of each item;
// how many items each kind has.
template <class T>
void find_kinds(const Call& call, const Items& items, bool sorted) {
  const T* x = data_of<T>(*call.inputs[0]);
  std::vector<std::int64_t> order(static_cast<std::size_t>(items.count));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return compare_items(x, items, a, b) < 0;
  });
  std::vector<std::int64_t> first, kind(order.size()), counts;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i == 0 || compare_items(x, items, order[i - 1], order[i]) != 0) {
      first.push_back(order[i]);
      counts.push_back(0);
    }
    kind[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(first.size()) - 1;
    ++counts.back();
  }
  std::vector<std::size_t> place(first.size());
  std::iota(place.begin(), place.end(), 0);
  if (!sorted) {
    std::sort(place.begin(), place.end(),
              [&](std::size_t a, std::size_t b) { return first[a] < first[b]; });
  }
  std::vector<std::int64_t> renamed(place.size());
  std::vector<std::int64_t>& found = call.found;
  found.clear();
  for (std::size_t i = 0; i < place.size(); ++i) {
    found.push_back(first[place[i]]);
    renamed[place[i]] = static_cast<std::int64_t>(i);
  }
  for (const std::int64_t k : kind) found.push_back(renamed[static_cast<std::size_t>(k)]);
  for (const std::size_t p : place) found.push_back(counts[p]);
}

Status shape_unique(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_ASSIGN(const Items items, items_of(call));
  const bool sorted = call.instruction.integer("sorted", 1) != 0;
  THIMBLE_TRY(with_number(x.type, [&](auto zero) {
    find_kinds<decltype(zero)>(call, items, sorted);
    return ok();
  }));
  const std::int64_t kinds = (static_cast<std::int64_t>(call.found.size()) - items.count) / 2;
  results[0] = items.flat ? Dims{kinds} : x.dims;
  results[0][items.axis] = kinds;
  for (std::size_t i = 1; i < results.size(); ++i) {
    THIMBLE_TRY(demand(call.outputs[i] == nullptr || call.outputs[i]->type == Type::kI64,
                       "Unique's indices are i64"));
    results[i] = {i == 2 ? items.count : kinds};
  }
  return ok();
}

Status run_unique(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  THIMBLE_ASSIGN(const Items items, items_of(call));
  const auto kinds =
      static_cast<std::size_t>((static_cast<std::int64_t>(call.found.size()) - items.count) / 2);
  const std::size_t row = static_cast<std::size_t>(items.inner) * element_bytes(x);
  std::byte* to = bytes_of(y);
  for (std::int64_t o = 0; o < items.outer && row > 0; ++o) {
    for (std::size_t i = 0; i < kinds; ++i, to += row)
      std::memcpy(to, bytes_of(x) + static_cast<std::size_t>(o * items.count + call.found[i]) * row,
                  row);
  }
  const std::size_t starts[] = {0, kinds, kinds + static_cast<std::size_t>(items.count)};
  for (std::size_t i = 0; i < 3; ++i) {
    Value* out = output_at(call, i + 1);
    if (out == nullptr) continue;
    const auto from = call.found.begin() + static_cast<std::ptrdiff_t>(starts[i]);
    std::copy_n(from, out->count(), data_of<std::int64_t>(*out));
  }
  return ok();
}

}  // namespace

std::span<const Operator> sorting_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kUnique, run_unique, nullptr, shape_unique},
      {Op::kNonMaxSuppression, run_suppression, nullptr, shape_suppression},
  };
  return kOperators;
}

}  // namespace thimble::runtime
