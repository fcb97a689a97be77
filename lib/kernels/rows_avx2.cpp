// Rows and attention for AVX2 and FMA.

#include <cstdint>
#include <immintrin.h>

#include "kernels/attention.h"
#include "kernels/rows.h"

namespace thimble::kernels {
namespace {

// Each builds on those before it.
// clang-format off
#include "kernels/lanes_avx2.h"
#include "kernels/vector_math.inc"
#include "kernels/rows.inc"
#include "kernels/attention.inc"
// clang-format on

}  // namespace

extern const RowKernels kRowsAvx2;
const RowKernels kRowsAvx2 = {Isa::kAvx2, rms_norm, layer_norm, softmax, map,
                              gated,      pair,     scale,      rotate};
extern const AttentionKernels kAttentionAvx2;
const AttentionKernels kAttentionAvx2 = {Isa::kAvx2, attend};

}  // namespace thimble::kernels
