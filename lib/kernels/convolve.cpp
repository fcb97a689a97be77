#include "kernels/convolve.h"

namespace thimble::kernels {

extern const ConvolveKernels kConvolveScalar;
#if defined(__x86_64__)
extern const ConvolveKernels kConvolveAvx2;
extern const ConvolveKernels kConvolveAvx512;
#elif defined(__aarch64__)
extern const ConvolveKernels kConvolveNeon;
#endif

std::span<const ConvolveKernels* const> convolve_variants() {
  static const ConvolveKernels* const kVariants[] = {
    &kConvolveScalar,
#if defined(__x86_64__)
    &kConvolveAvx2,
    &kConvolveAvx512,
#elif defined(__aarch64__)
    &kConvolveNeon,
#endif
  };
  return kVariants;
}

const ConvolveKernels& convolve_kernels(Isa isa) { return best_variant(convolve_variants(), isa); }

void pack_panel(const float* w, std::int64_t rows, std::int64_t inputs, std::int64_t panel,
                float* out) {
  const std::int64_t first = panel * kPanelRows;
  const std::int64_t count = rows - first < kPanelRows ? rows - first : kPanelRows;
  for (std::int64_t k = 0; k < inputs; ++k) {
    for (std::int64_t r = 0; r < kPanelRows; ++r)
      out[k * kPanelRows + r] = r < count ? w[(first + r) * inputs + k] : 0.0f;
  }
}

}  // namespace thimble::kernels
