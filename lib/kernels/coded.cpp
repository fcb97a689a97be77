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

void pack_coded(const std::int8_t* w, std::int64_t rows, std::int64_t inputs, std::int8_t* out) {
  std::memset(out, 0, static_cast<std::size_t>(coded_bytes(rows, inputs)));
  for (std::int64_t r = 0; r < rows; ++r, w += inputs) {
    std::int8_t* lane = out + r / kCodedRows * coded_tile_bytes(inputs) + r % kCodedRows * 4;
    for (std::int64_t k = 0; k < inputs; ++k) lane[k / 4 * 4 * kCodedRows + k % 4] = w[k];
  }
}

}  // namespace thimble::kernels
