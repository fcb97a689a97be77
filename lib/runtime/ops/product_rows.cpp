#include "runtime/ops/product_rows.h"

#include <algorithm>
#include <cmath>

#include "runtime/memory.h"

namespace thimble::runtime {
Activations Activations::of(const Call& call) {
  Activations how;
  if (call.machine.float_activations) return how;
  const std::int64_t scheme = call.instruction.integer("activation", 0);
  how.fixed = scheme == 3;
  how.one_scale = scheme >= 3;
  how.planes = how.one_scale ? 1 : static_cast<int>(scheme);
  if (!how.fixed) return how;
  how.scale = call.instruction.real("scale", 1);
  how.zero = static_cast<std::int32_t>(call.instruction.integer("zero", 0));
  return how;
}

Status Activations::check(const program::Instruction& instruction) {
  const std::int64_t scheme = instruction.integer("activation", 0);
  if (scheme < 0 || scheme > 4) return invalid_file("a product's activations are of no known kind");
  const float scale = instruction.real("scale", 1);
  const std::int64_t zero = instruction.integer("zero", 0);
  const bool right = scale > 0 && std::isfinite(scale) && zero >= -127 && zero <= 127;
  return scheme != 3 || right ? ok() : Status(invalid_file("a product's scale is impossible"));
}

kernels::GroupedWeight tiles_of(const kernels::GroupedWeight& weight, std::int64_t begin,
                                std::int64_t end) {
  const std::int64_t scale_bytes = kernels::bytes_of(weight.scale_type);
  const bool super = weight.super_size > 0;
  const std::int64_t cells =
      begin * (super ? weight.supers() : weight.groups()) * kernels::kTileRows;
  kernels::GroupedWeight part = weight;
  part.rows = std::min(end * kernels::kTileRows, weight.rows) - begin * kernels::kTileRows;
  part.codes += begin * weight.blocks() * 64 * weight.bits;
  part.scales = static_cast<const std::byte*>(weight.scales) + cells * scale_bytes;
  const std::int64_t subs = super ? begin * weight.sub_vectors() * kernels::kTileRows : 0;
  if (weight.sub_scales != nullptr) part.sub_scales += subs;
  if (weight.sub_minima != nullptr) part.sub_minima += subs;
  if (weight.zeros == nullptr) return part;
  const std::int64_t zero_bytes = weight.zero == kernels::ZeroKind::kPoints ? 1 : scale_bytes;
  part.zeros = static_cast<const std::byte*>(weight.zeros) + cells * zero_bytes;
  return part;
}

std::size_t ProductRows::bytes(const Activations& how, std::int64_t rows, std::int64_t inputs) {
  if (how.planes == 0) return 0;
  const std::size_t own = Memory::aligned(kernels::int8_rows_bytes(rows, inputs, how.planes));
  return how.fixed ? own + Memory::aligned(kernels::int8_rows_bytes(1, inputs, 1)) : own;
}

ProductRows::ProductRows(const Activations& how, void* memory, std::int64_t rows,
                         std::int64_t inputs)
    : how_(how), rows_(rows), inputs_(inputs) {
  if (how.planes == 0) return;
  codes_ = kernels::int8_rows_over(memory, rows, inputs, how.planes);
  codes_.one_scale = how.one_scale;
  if (!how.fixed) return;
  const std::size_t own = Memory::aligned(kernels::int8_rows_bytes(rows, inputs, how.planes));
  zeros_ = kernels::int8_rows_over(static_cast<std::byte*>(memory) + own, 1, inputs, 1);
  zeros_.one_scale = true;
}

void ProductRows::quantize(const kernels::LinearKernels& kernels, const float* x,
                           std::int64_t stride, std::int64_t begin, std::int64_t end) const {
  if (how_.planes == 0) return;
  if (how_.fixed) {
    kernels.quantize_rows_at(x, stride, begin, end, how_.scale, how_.zero, codes_);
  } else {
    kernels.quantize_rows(x, stride, begin, end, codes_);
  }
}

void ProductRows::quantize_zeros() const {
  if (!shifted()) return;
  const std::int64_t blocks = zeros_.blocks();
  for (std::int64_t block = 0; block < blocks; ++block) {
    const auto used = static_cast<int>(
        std::min<std::int64_t>(inputs_ - block * kernels::kBlock, kernels::kBlock));
    std::int8_t* data = zeros_.data + block * kernels::kBlock;
    std::fill_n(data, used, static_cast<std::int8_t>(how_.zero));
    std::fill(data + used, data + kernels::kBlock, std::int8_t{0});
    zeros_.scales[block] = how_.scale;
    zeros_.sums[2 * block] = how_.zero * std::min(used, 16);
    zeros_.sums[2 * block + 1] = how_.zero * std::max(used - 16, 0);
  }
}

void ProductRows::multiply(const kernels::LinearKernels& kernels,
                           const kernels::GroupedWeight& weight, const float* x,
                           std::int64_t stride, std::int64_t begin, std::int64_t end, float* y,
                           std::int64_t y_stride, void* scratch) const {
  if (how_.planes == 0) {
    kernels.grouped_f32(weight, x, rows_, stride, begin, end, y, y_stride, scratch);
    return;
  }
  kernels.grouped_int8(weight, codes_, begin, end, y, y_stride, scratch);
  if (!shifted()) return;
  // Tile by tile, so that a tile's codes are still in the cache and its results fit here.
  for (std::int64_t tile = begin; tile < end; ++tile) {
    float zeros[kernels::kTileRows];
    const std::int64_t first = tile * kernels::kTileRows;
    const std::int64_t count = std::min<std::int64_t>(kernels::kTileRows, weight.rows - first);
    kernels.grouped_int8(tiles_of(weight, tile, tile + 1), zeros_, 0, 1, zeros, kernels::kTileRows,
                         scratch);
    for (std::int64_t m = 0; m < rows_; ++m) {
      for (std::int64_t n = 0; n < count; ++n) y[m * y_stride + first + n] -= zeros[n];
    }
  }
}

}  // namespace thimble::runtime
