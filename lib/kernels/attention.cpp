#include "kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "support/checked.h"
#include "support/half.h"
#include "support/walsh_hadamard.h"

namespace thimble::kernels {

extern const AttentionKernels kAttentionScalar;
#if defined(__x86_64__)
extern const AttentionKernels kAttentionAvx2;
extern const AttentionKernels kAttentionAvx512;
#elif defined(__aarch64__)
extern const AttentionKernels kAttentionNeon;
#endif

namespace {

std::int64_t row_bytes(CacheType type, std::int64_t dim) {
  const std::int64_t padded = round_up<std::int64_t>(dim, 16);
  if (type == CacheType::kInt4) return padded / 2 + 4 * ceil_div<std::int64_t>(padded, kCacheGroup);
  return padded * (type == CacheType::kF32 ? 4 : type == CacheType::kF16 ? 2 : 1);
}

std::size_t rows_bytes(CacheType type, std::int64_t heads, std::int64_t capacity,
                       std::int64_t dim) {
  return round_up(static_cast<std::size_t>(heads * capacity * row_bytes(type, dim)),
                  std::size_t{64});
}

void store_int8(const float* row, std::int64_t dim, std::int64_t padded, std::int8_t* out,
                float* scale) {
  float top = 0;
  for (std::int64_t d = 0; d < dim; ++d) top = std::fabs(row[d]) > top ? std::fabs(row[d]) : top;
  *scale = top / 127.0f;
  const float inverse = top > 0 ? 127.0f / top : 0.0f;
  for (std::int64_t d = 0; d < padded; ++d) {
    out[d] =
        d < dim
            ? static_cast<std::int8_t>(static_cast<std::int32_t>(std::nearbyintf(row[d] * inverse)))
            : std::int8_t{0};
  }
}

// One group of `count` elements, of which those past `dim` are padding.
void store_group(const float* x, std::int64_t dim, std::int64_t count, std::uint8_t* out) {
  float low = x[0], high = x[0], finite = 0;
  for (std::int64_t d = 0; d < dim; ++d) {
    low = x[d] < low ? x[d] : low;
    high = x[d] > high ? x[d] : high;
    finite += x[d] * 0.0f;  // NaN where one isn't
  }
  const std::uint16_t scale = float_to_bfloat((high - low) / 15.0f + finite);
  const std::uint16_t minimum = float_to_bfloat(low);
  std::memcpy(out, &scale, 2);
  std::memcpy(out + 2, &minimum, 2);
  const float step = bfloat_to_float(scale), base = bfloat_to_float(minimum);
  const float inverse = step > 0 && std::isfinite(step) ? 1.0f / step : 0.0f;
  std::memset(out + 4, 0, static_cast<std::size_t>(count / 2));
  for (std::int64_t d = 0; d < dim && inverse > 0; ++d) {
    const float near = std::nearbyintf((x[d] - base) * inverse);
    const auto code = static_cast<unsigned>(near > 15 ? 15.0f : near > 0 ? near : 0.0f);
    std::uint8_t& byte = out[4 + d / 16 * 8 + d % 8];
    byte = static_cast<std::uint8_t>(byte | code << (d % 16 < 8 ? 0 : 4));
  }
}

void store_int4(float* row, std::int64_t dim, std::int64_t padded, std::uint8_t* out) {
  rotate_row(row, dim);
  for (std::int64_t d = 0; d < padded; d += kCacheGroup, out += 4 + kCacheGroup / 2) {
    const std::int64_t left = dim - d;
    store_group(row + d, left < kCacheGroup ? left : kCacheGroup,
                padded - d < kCacheGroup ? padded - d : kCacheGroup, out);
  }
}

}  // namespace

void rotate_row(float* row, std::int64_t dim) {
  const std::int64_t block = dim & -dim;
  if (block <= 1) return;
  const float scale = 1.0f / std::sqrt(static_cast<float>(block));
  for (float* x = row; x < row + dim; x += block) {
    walsh_hadamard(x, block);
    for (std::int64_t i = 0; i < block; ++i) x[i] *= scale;
  }
}

std::size_t cache_bytes(CacheType type, std::int64_t heads, std::int64_t capacity,
                        std::int64_t dim) {
  const std::size_t scales =
      type == CacheType::kInt8 ? static_cast<std::size_t>(heads * capacity) * sizeof(float) : 0;
  return rows_bytes(type, heads, capacity, dim) + round_up(scales, std::size_t{64});
}

CacheView cache_over(void* memory, CacheType type, std::int64_t heads, std::int64_t capacity,
                     std::int64_t dim) {
  auto* scales = reinterpret_cast<float*>(static_cast<std::byte*>(memory) +
                                          rows_bytes(type, heads, capacity, dim));
  return {.type = type,
          .data = memory,
          .scales = type == CacheType::kInt8 ? scales : nullptr,
          .heads = heads,
          .capacity = capacity,
          .dim = dim,
          .row_bytes = row_bytes(type, dim)};
}

void cache_store(const CacheView& cache, const float* rows, std::int64_t tokens,
                 std::int64_t start) {
  const std::int64_t padded = cache.padded_dim();
  std::vector<float> rotated(
      static_cast<std::size_t>(cache.type == CacheType::kInt4 ? cache.dim : std::int64_t{0}));
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (std::int64_t head = 0; head < cache.heads; ++head) {
      const float* row = rows + (token * cache.heads + head) * cache.dim;
      const std::int64_t index = head * cache.capacity + (start + token) % cache.capacity;
      if (cache.type == CacheType::kInt8) {
        store_int8(row, cache.dim, padded, static_cast<std::int8_t*>(cache.data) + index * padded,
                   cache.scales + index);
        continue;
      }
      if (cache.type == CacheType::kInt4) {
        std::copy_n(row, cache.dim, rotated.data());
        store_int4(rotated.data(), cache.dim, padded,
                   static_cast<std::uint8_t*>(cache.data) + index * cache.row_bytes);
        continue;
      }
      if (cache.type == CacheType::kF32) {
        float* to = static_cast<float*>(cache.data) + index * padded;
        std::copy_n(row, cache.dim, to);
        std::fill(to + cache.dim, to + padded, 0.0f);
        continue;
      }
      for (std::int64_t d = 0; d < padded; ++d) {
        static_cast<std::uint16_t*>(cache.data)[index * padded + d] =
            float_to_half(d < cache.dim ? row[d] : 0.0f);
      }
    }
  }
}

std::int64_t attention_items(const AttentionCall& call) {
  const std::int64_t rows = call.tokens * (call.q_heads / call.keys.heads);
  return call.keys.heads * ceil_div<std::int64_t>(rows, kQueryTile);
}

std::size_t attention_scratch_bytes(const AttentionCall& call) {
  const std::int64_t floats =
      kQueryTile * (call.keys.padded_dim() + call.values.padded_dim() + kKeyTile) +
      kKeyTile * call.keys.padded_dim();
  return round_up(static_cast<std::size_t>(floats) * sizeof(float), std::size_t{64});
}

std::span<const AttentionKernels* const> attention_variants() {
  static const AttentionKernels* const kVariants[] = {
    &kAttentionScalar,
#if defined(__x86_64__)
    &kAttentionAvx2,
    &kAttentionAvx512,
#elif defined(__aarch64__)
    &kAttentionNeon,
#endif
  };
  return kVariants;
}

const AttentionKernels& attention_kernels(Isa isa) {
  return best_variant(attention_variants(), isa);
}

}  // namespace thimble::kernels
