#pragma once
// Sums for means and variances, in f64: eight at a time, folded in order, so that the bits are the
// same however the loop is compiled.

#include <array>
#include <cstdint>

namespace thimble::runtime {

struct Moments {
  double mean = 0, variance = 0;
};

namespace detail {
template <class F>
double sum_in_eight(std::int64_t count, F f) {
  std::array<double, 8> sums{};
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (std::size_t k = 0; k < 8; ++k) sums[k] += f(i + static_cast<std::int64_t>(k));
  }
  for (std::size_t k = 0; i < count; ++i, ++k) sums[k] += f(i);
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}
}  // namespace detail

template <class T>
double sum_of(const T* x, std::int64_t count) {
  return detail::sum_in_eight(count, [&](std::int64_t i) { return static_cast<double>(x[i]); });
}
template <class T>
double squares_around(const T* x, std::int64_t count, double mean) {
  return detail::sum_in_eight(count, [&](std::int64_t i) {
    const double off = static_cast<double>(x[i]) - mean;
    return off * off;
  });
}
template <class T>
Moments moments_of(const T* x, std::int64_t count) {
  const auto size = static_cast<double>(count);
  Moments m;
  m.mean = sum_of(x, count) / size;
  m.variance = squares_around(x, count, m.mean) / size;
  return m;
}

}  // namespace thimble::runtime
