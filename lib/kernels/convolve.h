#pragma once
// Convolutions and pools of f32 images: products of a weight in panels with pieces of what the
// windows see, and sums and maxima over the taps of one plane. Every variant gives the same bits:
// an output accumulates over its taps in index order with fma, whatever else is computed with it.
//
// Panels hold a matrix W [N, K] of f32 as [ceil(N / 16)][K][16]: element r of row k of panel t is
// W[16 t + r, k], 0 past the last row.

#include <cstdint>
#include <span>

#include "kernels/isa.h"
#include "kernels/rows.h"

namespace thimble::kernels {

inline constexpr int kPanelRows = 16;
inline constexpr int kPiecePlaces = 32;
// Places beyond whole vectors that are too few for one of their own.
inline constexpr int kFewPlaces = 8;

// What becomes of a finished sum: y = function(clip(sum + bias + addend)), with fma(scale, sum,
// bias) for sum + bias where there is a scale; then there is a bias.
struct Epilogue {
  const float* scale = nullptr;   // by output; null: none
  const float* bias = nullptr;    // by output; null: none
  const float* addend = nullptr;  // lies as y does; null: none
  Function function = Function::kIdentity;
  bool clipped = false;
  float low = 0, high = 0;
};

// What a row gives to the vector of sixteen that begins at element `to`: the lanes l that are bits
// of `lanes` come from element from + l of the row, those of `kept` stay as they are, and the
// others lie outside. Elements of other lanes aren't read; `from` may lie before the row.
struct Slice {
  std::int64_t from;
  std::int32_t to;
  std::uint16_t kept, lanes;
};

// Taps by up to 32 places: place p of tap k is data[k * pitch + p]. Places that don't count are
// read as well, up to the next multiple of 16.
struct Piece {
  const float* data;
  std::int64_t pitch;
};

// What a product fetches into the caches on its way: `pace` floats from `from` on a tap.
struct Ahead {
  const float* from;
  std::int64_t pace;
};

// Windows over a plane, a row of results after the other: tap t of result [row, column] is
// x[offsets[t] + row * step + column].
struct WindowRows {
  const std::int64_t* offsets;
  std::int64_t taps;
  std::int64_t rows, columns, step;
};

// Windows two or three taps wide that move by two along the rows of a plane, which is used as it
// lies: tap [r, c] of result [row, column] is element [row * step + r * apart - above, 2 * column +
// c - before].
struct PairWindows {
  std::int64_t high, wide;            // of the plane
  std::int64_t rows, columns;         // of the results
  std::int64_t taps_high, taps_wide;  // of a window
  std::int64_t step, apart, above, before;
};

struct ConvolveKernels {
  Isa isa;
  // `used` slices in order for each of `channels` planes, which are `plane` apart and whose
  // elements are `stride` apart; the results are `step` apart. What lies outside is `outside`.
  void (*im2col)(const Slice* slices, std::int64_t used, const float* planes, std::int64_t plane,
                 std::int64_t channels, std::int64_t stride, float outside, float* to,
                 std::int64_t step);
  // y[o, p] (+)= sum_k w[k][o] * piece[k, p] over `count` taps for `outputs` (1 to 16) outputs of a
  // panel and `places` (1 to 32) places; y's rows are `stride` apart. `start`: y is what is added,
  // else added to. `finish`: these were the last taps; its pointers are the first output's. Null:
  // more follow.
  void (*panel)(const float* w, Piece piece, std::int64_t count, std::int64_t outputs,
                std::int64_t places, bool start, const Epilogue* finish, float* y,
                std::int64_t stride, Ahead ahead);
  // The same for few places, at most kFewPlaces, and `outputs` outputs of panels that are `panel`
  // floats apart.
  void (*few)(const float* w, std::int64_t panel, Piece piece, std::int64_t count,
              std::int64_t outputs, std::int64_t places, bool start, const Epilogue* finish,
              float* y, std::int64_t stride);
  // Results lie row by row, [rows, columns], and have one output's epilogue.
  // y = the sum over the taps t of w[t] * tap, finished.
  void (*taps)(const float* x, const WindowRows& windows, const float* w, const Epilogue& finish,
               float* y);
  // y = the largest tap; there is one at least. A NaN counts where it comes first.
  void (*most)(const float* x, const WindowRows& windows, float* y);
  // The same, taps outside of the plane being -infinity.
  void (*most_of_pairs)(const float* x, const PairWindows& windows, float* y);
  // y[row, column] = the sum of the taps over high[row] * wide[column], or 0 where that is 0.
  void (*mean)(const float* x, const WindowRows& windows, const float* high, const float* wide,
               float* y);
};

std::span<const ConvolveKernels* const> convolve_variants();  // scalar first
const ConvolveKernels& convolve_kernels(Isa isa);

// Rows [16 panel, 16 panel + 16) of w [rows, inputs] as a panel of inputs * 16 floats.
void pack_panel(const float* w, std::int64_t rows, std::int64_t inputs, std::int64_t panel,
                float* out);

}  // namespace thimble::kernels
