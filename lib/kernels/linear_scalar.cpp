// The reference that every other variant equals bit for bit.

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/linear.h"
#include "support/half.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_scalar.h"

constexpr int kTokens = 4, kDenseTokens = 2, kDenseOutputs = 2;
constexpr std::int32_t kCodeBias = 0;

struct Codes {
  std::uint8_t bytes[512];
};
struct Sums {
  std::int32_t v[16];
};

inline void unpack_bytes(const std::uint8_t* block, int bits, std::uint8_t* out);
template <int BITS>
inline Codes unpack(const std::uint8_t* block) {
  Codes codes;
  unpack_bytes(block, BITS, codes.bytes);
  return codes;
}
inline Sums broadcast(std::int32_t x) {
  Sums out;
  for (int r = 0; r < 16; ++r) out.v[r] = x;
  return out;
}
inline Sums dot(Sums sums, const Codes& codes, int quad, const std::int8_t* four) {
  for (int r = 0; r < 16; ++r) {
    for (int j = 0; j < 4; ++j) sums.v[r] += codes.bytes[quad * 64 + 4 * r + j] * four[j];
  }
  return sums;
}
inline Sums subtract_products(Sums sums, const std::uint8_t* points, std::int32_t sum) {
  for (int r = 0; r < 16; ++r) sums.v[r] -= points[r] * sum;
  return sums;
}
inline Lanes to_float(Sums sums) {
  Lanes out;
  for (int r = 0; r < 16; ++r) out.v[r] = static_cast<float>(sums.v[r]);
  return out;
}

#include "kernels/linear_grouped.inc"
#include "kernels/linear_float.inc"

}  // namespace

extern const LinearKernels kLinearScalar;
const LinearKernels kLinearScalar = {Isa::kScalar, quantize_rows, grouped_int8, grouped_f32, dense, matmul};

}  // namespace thimble::kernels
