#pragma once

#include <cstdint>
#include <span>

namespace thimble::quant {

// Weights [rows, inputs], row-major. Borrowed.
struct WeightMatrix {
  std::span<const float> values;
  std::int64_t rows = 0, inputs = 0;

  bool is_whole() const { return std::ssize(values) == rows * inputs; }
  // Rows [begin, begin + count).
  WeightMatrix part(std::int64_t begin, std::int64_t count) const {
    return {values.subspan(static_cast<std::size_t>(begin * inputs),
                           static_cast<std::size_t>(count * inputs)),
            count, inputs};
  }
  std::span<const float> row(std::int64_t i) const { return part(i, 1).values; }
};

}  // namespace thimble::quant
