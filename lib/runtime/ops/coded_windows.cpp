#include "runtime/ops/coded_windows.h"

#include <cmath>

#include "runtime/memory.h"
#include "runtime/ops/transpose_bytes.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

constexpr std::int64_t kBlock = kernels::kBlock;

}  // namespace

// The image as rows of one block each, whose codes lie in order.
std::size_t image_codes_bytes(std::int64_t count) {
  return Memory::aligned(kernels::int8_rows_bytes(ceil_div(count, kBlock), kBlock, 1)) +
         Memory::aligned(kernels::int8_rows_bytes(1, kBlock, 1));
}

const std::int8_t* image_codes(Machine& machine, const float* x, std::int64_t count,
                               const Activations& how, std::byte* memory) {
  const std::int64_t rows = ceil_div(count, kBlock), whole = count / kBlock;
  const kernels::Int8Rows codes = kernels::int8_rows_over(memory, rows, kBlock, 1);
  over_rows(machine, whole, kBlock, [&](std::int64_t begin, std::int64_t end) {
    machine.linear.quantize_rows_at(x, kBlock, begin, end, how.scale, how.zero, codes);
  });
  if (whole < rows) {
    std::byte* after = memory + Memory::aligned(kernels::int8_rows_bytes(rows, kBlock, 1));
    const kernels::Int8Rows rest = kernels::int8_rows_over(after, 1, count - whole * kBlock, 1);
    machine.linear.quantize_rows_at(x + whole * kBlock, kBlock, 0, 1, how.scale, how.zero, rest);
    std::copy_n(rest.data, kBlock, codes.data + whole * kBlock);
    codes.scales[whole] = rest.scales[0];
  }
  const bool numbers = std::none_of(codes.scales, codes.scales + rows,
                                    [](float scale) { return std::isnan(scale); });
  return numbers ? codes.data : nullptr;
}

std::size_t CodedWindows::bytes(const Windows& w, std::int64_t inputs) {
  const auto taps = static_cast<std::size_t>(round_up(inputs, kBlock) * kPlaces);
  const Windows flat = flattened(w);
  const std::int64_t copies = volume(flat.out) > 0 ? most_copies(flat, kPlaces) : 0;
  return taps + Memory::aligned(static_cast<std::size_t>(copies) * sizeof(Copy));
}

CodedWindows::CodedWindows(const Windows& w, std::int64_t inputs, std::byte* memory)
    : w_(flattened(w)),
      inputs_(inputs),
      taps_(reinterpret_cast<std::int8_t*>(memory)),
      copies_(reinterpret_cast<Copy*>(memory + round_up(inputs, kBlock) * kPlaces)) {}

void CodedWindows::fill(const std::int8_t* planes, std::int64_t channels, std::int64_t first,
                        std::int64_t count, const Activations& how, const kernels::Int8Rows& out) {
  const std::int64_t used = list_copies(w_, first, count, kPlaces, copies_);
  const std::int64_t taps = volume(w_.kernel);
  const auto zero = static_cast<std::int8_t>(how.zero);
  for (std::int64_t c = 0; c < channels; ++c) {
    run_copies(copies_, used, planes + c * volume(w_.in), w_.stride[2], zero,
               taps_ + c * taps * kPlaces);
  }
  const std::int64_t padded = round_up(inputs_, kBlock);
  std::fill(taps_ + inputs_ * kPlaces, taps_ + padded * kPlaces, std::int8_t{0});
  for (std::int64_t block = 0; block < out.blocks(); ++block) {
    transpose(block, count, out);
    std::fill_n(out.scales + block * out.rows, count, how.scale);
  }
}

void CodedWindows::transpose(std::int64_t block, std::int64_t count,
                             const kernels::Int8Rows& out) const {
  const std::int8_t* from = taps_ + block * kBlock * kPlaces;
  std::int8_t* to = out.data + block * out.rows * kBlock;
  for (std::int64_t place = 0; place < count; place += 8) {
    const std::int64_t places = std::min<std::int64_t>(8, count - place);
    for (std::int64_t k = 0; k < kBlock; k += 8) {
      std::uint64_t rows[8];
      const std::int8_t* corner = from + k * kPlaces + place;
      std::memcpy(&rows[0], corner, 8);
      std::memcpy(&rows[1], corner + kPlaces, 8);
      std::memcpy(&rows[2], corner + 2 * kPlaces, 8);
      std::memcpy(&rows[3], corner + 3 * kPlaces, 8);
      std::memcpy(&rows[4], corner + 4 * kPlaces, 8);
      std::memcpy(&rows[5], corner + 5 * kPlaces, 8);
      std::memcpy(&rows[6], corner + 6 * kPlaces, 8);
      std::memcpy(&rows[7], corner + 7 * kPlaces, 8);
      transpose_bytes(rows);
      for (std::int64_t p = 0; p < places; ++p)
        std::memcpy(to + (place + p) * kBlock + k, &rows[p], 8);
    }
  }
  for (int half = 0; half < 2; ++half) {
    std::int16_t sums[kPlaces] = {};  // of 16 bytes each
    for (std::int64_t k = 16 * half; k < 16 * half + 16; ++k) {
      const std::int8_t* line = from + k * kPlaces;
      for (std::int64_t p = 0; p < kPlaces; ++p)
        sums[p] = static_cast<std::int16_t>(sums[p] + line[p]);
    }
    std::copy_n(sums, count, out.sums + (2 * block + half) * out.rows);
  }
}

}  // namespace thimble::runtime
