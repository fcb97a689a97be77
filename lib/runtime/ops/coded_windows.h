#pragma once
// Windows of an image whose elements are int8 codes already: with a scale known beforehand, an
// image is quantized once rather than once a window.

#include "runtime/ops/product_rows.h"
#include "runtime/ops/window_copies.h"

namespace thimble::runtime {

// The codes of `count` elements in their order, by quantize_rows_at; null where some element is no
// number, which codes can't say. `memory`: image_codes_bytes(count).
std::size_t image_codes_bytes(std::int64_t count);
const std::int8_t* image_codes(Machine& machine, const float* x, std::int64_t count,
                               const Activations& how, std::byte* memory);

// At most kPlaces windows at a time.
class CodedWindows {
 public:
  static constexpr std::int64_t kPlaces = 64;
  // Of scratch for windows with `inputs` elements.
  static std::size_t bytes(const Windows& w, std::int64_t inputs);
  CodedWindows(const Windows& w, std::int64_t inputs, std::byte* memory);

  // Windows [first, first + count) of `channels` planes of codes, as rows of `out`.
  void fill(const std::int8_t* planes, std::int64_t channels, std::int64_t first,
            std::int64_t count, const Activations& how, const kernels::Int8Rows& out);

 private:
  void transpose(std::int64_t block, std::int64_t count, const kernels::Int8Rows& out) const;

  Windows w_;
  std::int64_t inputs_;
  std::int8_t* taps_;  // [inputs rounded up to blocks][kPlaces]
  Copy* copies_;
};

}  // namespace thimble::runtime
