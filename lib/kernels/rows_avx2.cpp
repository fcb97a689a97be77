// Rows, attention and convolutions for AVX2 and FMA.

#include <cstdint>
#include <immintrin.h>

#include "kernels/attention.h"
#include "kernels/convolve.h"
#include "kernels/force_inline.h"
#include "kernels/rows.h"

namespace thimble::kernels {
namespace {

constexpr int kWideRows = 2, kNarrowRows = 4;
constexpr int kPanelsOfOne = 4, kPanelsOfFour = 1;
// Of attention: query rows and sixteens of keys, then of values, that registers hold together.
constexpr int kScoreRows = 4, kKeyVectors = 1, kValueRows = 4, kValueVectors = 1;

// Each builds on those before it.
// clang-format off
#include "kernels/lanes_avx2.h"
#include "kernels/vector_math.inc"
#include "kernels/rows.inc"
#include "kernels/attention.inc"
#include "kernels/convolve.inc"
// clang-format on

}  // namespace

extern const RowKernels kRowsAvx2;
const RowKernels kRowsAvx2 = {Isa::kAvx2, rms_norm, layer_norm, softmax, map,
                              gated,      pair,     scale,      rotate};
extern const AttentionKernels kAttentionAvx2;
const AttentionKernels kAttentionAvx2 = {Isa::kAvx2, attend};
extern const ConvolveKernels kConvolveAvx2;
const ConvolveKernels kConvolveAvx2 = {Isa::kAvx2, im2col, panel,         few,
                                       taps,       most,   most_of_pairs, mean};

}  // namespace thimble::kernels
