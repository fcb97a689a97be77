// Rows, attention and convolutions for AVX-512.

#include <cstdint>
#include <immintrin.h>

#include "kernels/attention.h"
#include "kernels/convolve.h"
#include "kernels/force_inline.h"
#include "kernels/rows.h"

namespace thimble::kernels {
namespace {

constexpr int kWideRows = 8, kNarrowRows = 16;
constexpr int kPanelsOfOne = 4, kPanelsOfFour = 2;
// Of attention: query rows and sixteens of keys, then of values, that registers hold together.
constexpr int kScoreRows = 4, kKeyVectors = 4, kValueRows = 8, kValueVectors = 2;

// Each builds on those before it.
// clang-format off
#include "kernels/lanes_avx512.h"
#include "kernels/vector_math.inc"
#include "kernels/rows.inc"
#include "kernels/attention.inc"
#include "kernels/convolve.inc"
// clang-format on

}  // namespace

extern const RowKernels kRowsAvx512;
const RowKernels kRowsAvx512 = {
    Isa::kAvx512Vnni, rms_norm, layer_norm, softmax, map, gated, pair, scale, rotate};
extern const AttentionKernels kAttentionAvx512;
const AttentionKernels kAttentionAvx512 = {Isa::kAvx512Vnni, attend};
extern const ConvolveKernels kConvolveAvx512;
const ConvolveKernels kConvolveAvx512 = {Isa::kAvx512Vnni, im2col, panel, few, taps, most,
                                         most_of_pairs,    mean};

}  // namespace thimble::kernels
