// Rows, attention and convolutions in plain C++: the reference that the others equal bit for bit.

#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/attention.h"
#include "kernels/convolve.h"
#include "kernels/force_inline.h"
#include "kernels/rows.h"
#include "support/half.h"

namespace thimble::kernels {
namespace {

constexpr int kWideRows = 1, kNarrowRows = 1;
constexpr int kPanelsOfOne = 1, kPanelsOfFour = 1;
// Of attention: query rows and sixteens of keys, then of values, that registers hold together.
constexpr int kScoreRows = 4, kKeyVectors = 1, kValueRows = 4, kValueVectors = 1;

// Each builds on those before it.
// clang-format off
#include "kernels/lanes_scalar.h"
#include "kernels/vector_math.inc"
#include "kernels/rows.inc"
#include "kernels/attention.inc"
#include "kernels/convolve.inc"
// clang-format on

}  // namespace

extern const RowKernels kRowsScalar;
const RowKernels kRowsScalar = {Isa::kScalar, rms_norm, layer_norm, softmax, map,
                                gated,        pair,     scale,      rotate};
extern const AttentionKernels kAttentionScalar;
const AttentionKernels kAttentionScalar = {Isa::kScalar, attend};
extern const ConvolveKernels kConvolveScalar;
const ConvolveKernels kConvolveScalar = {Isa::kScalar, im2col, panel,         few,
                                         taps,         most,   most_of_pairs, mean};

}  // namespace thimble::kernels
