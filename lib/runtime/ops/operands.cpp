#include "runtime/ops/operands.h"

#include <cstring>

namespace thimble::runtime {

Expected<std::int64_t> index_within(const Value& indices, std::int64_t i, std::int64_t limit) {
  const std::int64_t given = index_at(indices, i);
  const std::int64_t index = given < 0 ? given + limit : given;
  if (index >= 0 && index < limit) return index;
  return invalid_argument("index " + std::to_string(given) + " is out of range: there are " +
                          std::to_string(limit) + " rows");
}

void copy_strided(const Value& x, const Dims& strides, std::int64_t start, Value& y) {
  const std::size_t size = element_bytes(y);
  // Trailing axes that lie in x as they do in y are copied in one piece.
  std::int64_t run = 1;
  Dims outer_dims = y.dims, outer = strides;
  while (!outer.empty() && (outer.back() == run || outer_dims.back() == 1)) {
    run *= outer_dims.back();
    outer.pop_back();
    outer_dims.pop_back();
  }
  const auto bytes = static_cast<std::size_t>(run) * size;
  const std::byte* from = bytes_of(x) + start * static_cast<std::int64_t>(size);
  if (y.count() == 0) return;
  each_element<1>(outer_dims, {outer},
                  [&](std::int64_t flat, const std::array<std::int64_t, 1>& at) {
                    std::memcpy(bytes_of(y) + static_cast<std::size_t>(flat) * bytes,
                                from + at[0] * static_cast<std::int64_t>(size), bytes);
                  });
}

}  // namespace thimble::runtime
