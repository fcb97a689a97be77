#pragma once
// Rows of activations on their way into products with weights in tiles, written as the instruction
// says: f32, int8 or two planes of int8 with scales found on the fly, or int8 with one scale a row,
// found likewise or known beforehand.

#include <cstddef>
#include <cstdint>

#include "runtime/values.h"

namespace thimble::runtime {

struct Activations {
  int planes = 0;          // 0: f32
  bool one_scale = false;  // a row
  bool fixed = false;
  float scale = 1;  // of `fixed`: x = scale * (q - zero)
  std::int32_t zero = 0;

  // Ints `activation`: 0 f32, 1 int8, 2 two planes, 3 fixed, with floats `scale` and ints `zero`, 4
  // int8 with one scale a row.
  static Activations of(const Call& call);
  static Status check(const program::Instruction& instruction);
};

// Outputs [16 * begin, 16 * end) of a weight as a weight of their own.
kernels::GroupedWeight tiles_of(const kernels::GroupedWeight& weight, std::int64_t begin,
                                std::int64_t end);

class ProductRows {
 public:
  // What `rows` rows of `inputs` take; a multiple of 64.
  static std::size_t bytes(const Activations& how, std::int64_t rows, std::int64_t inputs);
  ProductRows(const Activations& how, void* memory, std::int64_t rows, std::int64_t inputs);

  // Rows [begin, end) of x, whose rows are `stride` apart.
  void quantize(const kernels::LinearKernels& kernels, const float* x, std::int64_t stride,
                std::int64_t begin, std::int64_t end) const;
  // The rows to be filled by whoever has codes already; of one plane.
  const kernels::Int8Rows& codes() const { return codes_; }
  // What a row of zeros is written as; once before `multiply`.
  void quantize_zeros() const;
  // y [rows, y_stride] for tiles [begin, end) of the weight. `x` is read where planes is 0; scratch
  // as for the kernels, linear_scratch_bytes(rows, inputs).
  void multiply(const kernels::LinearKernels& kernels, const kernels::GroupedWeight& weight,
                const float* x, std::int64_t stride, std::int64_t begin, std::int64_t end, float* y,
                std::int64_t y_stride, void* scratch) const;

 private:
  bool shifted() const { return how_.fixed && how_.zero != 0; }

  Activations how_;
  std::int64_t rows_, inputs_;
  kernels::Int8Rows codes_;
  kernels::Int8Rows zeros_;  // one row
};

}  // namespace thimble::runtime
