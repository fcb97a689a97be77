// AVX-512 with VNNI: a quad of 16 outputs is one register; a row's four bytes are broadcast.

#include <cstdint>
#include <cstring>
#include <immintrin.h>

#include "kernels/coded.h"

namespace thimble::kernels {
namespace {

#include "kernels/lanes_avx512.h"

constexpr int kCodedTiles = 2, kCodedTokens = 8;

#include "kernels/coded_avx512.inc"
// clang-format off
#include "kernels/coded.inc"
// clang-format on

}  // namespace

extern const CodedKernels kCodedAvx512;
const CodedKernels kCodedAvx512 = {Isa::kAvx512Vnni, multiply_codes, multiply_floats,
                                   taps_of_codes,    most_codes,     mix_codes,
                                   encode_codes,     decode_codes,   widen_range_of};

}  // namespace thimble::kernels
