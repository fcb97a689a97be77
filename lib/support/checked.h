#pragma once
// Arithmetic on numbers that come from files: every sum, product and rounding reports overflow.

#include <concepts>
#include <cstdint>
#include <optional>
#include <utility>

namespace thimble {

template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T r;
  return __builtin_add_overflow(a, b, &r) ? std::nullopt : std::optional<T>(r);
}

template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
  T r;
  return __builtin_mul_overflow(a, b, &r) ? std::nullopt : std::optional<T>(r);
}

// The least multiple of `alignment` (> 0) that is >= value.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_round_up(T value, T alignment) {
  const T rest = value % alignment;
  return rest == 0 ? std::optional<T>(value) : checked_add<T>(value, alignment - rest);
}

// Does [offset, offset + size) lie inside [0, total)?
[[nodiscard]] constexpr bool range_inside(std::uint64_t offset, std::uint64_t size,
                                          std::uint64_t total) {
  return offset <= total && size <= total - offset;
}

template <std::integral To, std::integral From>
[[nodiscard]] constexpr std::optional<To> checked_cast(From value) {
  return std::in_range<To>(value) ? std::optional<To>(static_cast<To>(value)) : std::nullopt;
}

// For quantities we computed ourselves and know to be small.
template <std::integral T>
constexpr T ceil_div(T a, T b) {
  return a / b + (a % b != 0);
}
template <std::integral T>
constexpr T round_up(T a, T b) {
  return ceil_div(a, b) * b;
}

}  // namespace thimble
