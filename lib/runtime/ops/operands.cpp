#include "runtime/ops/operands.h"

namespace thimble::runtime {

Expected<std::int64_t> index_within(const Value& indices, std::int64_t i, std::int64_t limit) {
  const std::int64_t given = index_at(indices, i);
  const std::int64_t index = given < 0 ? given + limit : given;
  if (index >= 0 && index < limit) return index;
  return invalid_argument("index " + std::to_string(given) + " is out of range: there are " +
                          std::to_string(limit) + " rows");
}

}  // namespace thimble::runtime
