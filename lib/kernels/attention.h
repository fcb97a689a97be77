#pragma once
// Scaled dot-product attention in tiles, with an online softmax (Milakov, Gimelshein 2018;
// FlashAttention, Dao et al. 2022): memory doesn't grow with the context. Tiles of keys end at
// multiples of kKeyTile of the absolute position and a query's sums depend on its own row alone, so
// its bits don't depend on chunks, on the batch or on the queries computed with it.

#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/isa.h"

namespace thimble::kernels {

inline constexpr int kKeyTile = 64;
inline constexpr int kQueryTile = 32;  // query rows (tokens x heads of a group) computed together

enum class CacheType : std::uint8_t { kF32, kF16, kInt8, kInt4 };

inline constexpr int kCacheGroup = 32;  // kInt4: elements that share a scale and a minimum

// Keys or values of one layer: [heads][positions][padded_dim], with a scale per row
// [heads][positions] for int8. padded_dim is head_dim rounded up to 16, the rest zeros. A ring
// where `capacity` positions is less than the context: position p lies at p % capacity.
// kInt4: a row is rotated (rotate_row) and cut into groups of kCacheGroup, the last may be half of
// one: scale and minimum, a bf16 each, then 8 bytes for every 16 elements, byte i of which holds
// element i in its low half and element i + 8 in its high one: fma(scale, code, minimum).
struct CacheView {
  CacheType type = CacheType::kF32;
  void* data = nullptr;
  float* scales = nullptr;
  std::int64_t heads = 0;
  std::int64_t capacity = 0;
  std::int64_t dim = 0;
  std::int64_t row_bytes = 0;
  std::int64_t padded_dim() const { return (dim + 15) / 16 * 16; }
};
std::size_t cache_bytes(CacheType type, std::int64_t heads, std::int64_t capacity,
                        std::int64_t dim);
CacheView cache_over(void* memory, CacheType type, std::int64_t heads, std::int64_t capacity,
                     std::int64_t dim);
// Stores rows [tokens, heads * dim] at positions start, start + 1, ... (int8: scale = absmax / 127
// per row; int4: a group's extremes, and scale NaN where one isn't finite).
void cache_store(const CacheView& cache, const float* rows, std::int64_t tokens,
                 std::int64_t start);

// Multiplies `row` by an orthonormal symmetric matrix that spreads outliers (QuaRot, Ashkboos et
// al. 2024): Hadamard matrices of the largest power of two that divides `dim` along the diagonal.
// Twice is the identity, and dot products of rotated rows are those of the rows.
void rotate_row(float* row, std::int64_t dim);

struct AttentionCall {
  const float* q = nullptr;  // [tokens, q_heads * dim]
  float* y = nullptr;        // [tokens, q_heads * value dim]
  std::int64_t tokens = 0;
  std::int64_t q_heads = 0;
  CacheView keys, values;      // heads divide q_heads
  std::int64_t position = 0;   // of the first query; causal queries see keys up to their own
  std::int64_t key_count = 0;  // keys there are
  bool causal = true;
  std::int64_t window = 0;  // a key is seen when key > query - window; 0: no window
  float scale = 1;
  float softcap = 0;                       // logits = softcap * tanh(logits / softcap); 0: none
  const std::uint8_t* key_mask = nullptr;  // [key_count], 0: not seen by anyone; null: all are
};

// Work comes in items that any thread may take: one KV head and kQueryTile query rows each.
std::int64_t attention_items(const AttentionCall& call);
std::size_t attention_scratch_bytes(const AttentionCall& call);  // per thread

struct AttentionKernels {
  Isa isa;
  void (*attend)(const AttentionCall& call, std::int64_t item_begin, std::int64_t item_end,
                 void* scratch);
};

std::span<const AttentionKernels* const> attention_variants();  // scalar first
const AttentionKernels& attention_kernels(Isa isa);

}  // namespace thimble::kernels
