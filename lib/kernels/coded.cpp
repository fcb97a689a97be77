#include "kernels/coded.h"

#include <cstring>

namespace thimble::kernels {

extern const CodedKernels kCodedScalar;
#if defined(__x86_64__)
extern const CodedKernels kCodedAvx2;
extern const CodedKernels kCodedAvx512;
extern const CodedKernels kCodedAmx;
#elif defined(__aarch64__)
extern const CodedKernels kCodedNeon;
extern const CodedKernels kCodedNeonDotprod;
#endif

std::span<const CodedKernels* const> coded_variants() {
  static const CodedKernels* const kVariants[] = {
    &kCodedScalar,
#if defined(__x86_64__)
    &kCodedAvx2,
    &kCodedAvx512,
    &kCodedAmx,
#elif defined(__aarch64__)
    &kCodedNeon,
    &kCodedNeonDotprod,
#endif
  };
  return kVariants;
}

const CodedKernels& coded_kernels(Isa isa) { return best_variant(coded_variants(), isa); }

void pack_coded_tile(const std::int8_t* w, std::int64_t rows, std::int64_t inputs,
                     std::int64_t tile, std::int8_t* out) {
  std::memset(out, 0, static_cast<std::size_t>(coded_tile_bytes(inputs)));
  for (std::int64_t r = 0; r < kCodedRows && tile * kCodedRows + r < rows; ++r) {
    const std::int8_t* row = w + (tile * kCodedRows + r) * inputs;
    for (std::int64_t k = 0; k < inputs; ++k) out[(k / 4 * kCodedRows + r) * 4 + k % 4] = row[k];
  }
}

}  // namespace thimble::kernels
