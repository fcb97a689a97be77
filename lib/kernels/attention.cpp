#include "kernels/attention.h"

#include <cmath>
#include <cstring>

#include "support/checked.h"
#include "support/half.h"

namespace thimble::kernels {

extern const AttentionKernels kAttentionScalar;
#if defined(__x86_64__)
extern const AttentionKernels kAttentionAvx2;
extern const AttentionKernels kAttentionAvx512;
#elif defined(__aarch64__)
extern const AttentionKernels kAttentionNeon;
#endif

namespace {

std::int64_t element_bytes(CacheType type) {
  return type == CacheType::kF32 ? 4 : type == CacheType::kF16 ? 2 : 1;
}

std::size_t rows_bytes(CacheType type, std::int64_t heads, std::int64_t capacity,
                       std::int64_t dim) {
  const CacheView view{.type = type, .dim = dim};
  return round_up(
      static_cast<std::size_t>(heads * capacity * view.padded_dim() * element_bytes(type)),
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

}  // namespace

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
  return {type, memory, type == CacheType::kInt8 ? scales : nullptr, heads, capacity, dim};
}

void cache_store(const CacheView& cache, const float* rows, std::int64_t tokens,
                 std::int64_t start) {
  const std::int64_t padded = cache.padded_dim();
  for (std::int64_t token = 0; token < tokens; ++token) {
    for (std::int64_t head = 0; head < cache.heads; ++head) {
      const float* row = rows + (token * cache.heads + head) * cache.dim;
      const std::int64_t index = head * cache.capacity + (start + token) % cache.capacity;
      if (cache.type == CacheType::kInt8) {
        store_int8(row, cache.dim, padded, static_cast<std::int8_t*>(cache.data) + index * padded,
                   cache.scales + index);
        continue;
      }
      for (std::int64_t d = 0; d < padded; ++d) {
        const float value = d < cache.dim ? row[d] : 0.0f;
        if (cache.type == CacheType::kF32) {
          static_cast<float*>(cache.data)[index * padded + d] = value;
        } else {
          static_cast<std::uint16_t*>(cache.data)[index * padded + d] = float_to_half(value);
        }
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
      kQueryTile * (call.keys.padded_dim() + call.values.padded_dim() + kKeyTile);
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
  if (isa == Isa::kNeonDotprod) isa = Isa::kNeon;
  for (const AttentionKernels* variant : attention_variants()) {
    if (variant->isa == isa) return *variant;
  }
  return kAttentionScalar;
}

}  // namespace thimble::kernels
