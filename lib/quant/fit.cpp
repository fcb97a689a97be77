#include "quant/fit.h"

#include <array>

namespace thimble::quant {

extern const FitKernels kFitScalar;
#if defined(__x86_64__)
extern const FitKernels kFitAvx2;
extern const FitKernels kFitAvx512;
#endif

std::span<const FitKernels* const> fit_variants() {
  static constexpr std::array kAll = {
    &kFitScalar,
#if defined(__x86_64__)
    &kFitAvx2,
    &kFitAvx512,
#endif
  };
  return kAll;
}

const FitKernels& fit_kernels() {
  static const FitKernels* const chosen = [] {
    const Expected<kernels::Isa> isa = kernels::active_isa();
    for (const FitKernels* variant : fit_variants()) {
      if (isa && variant->isa == *isa) return variant;
    }
    return fit_variants().front();
  }();
  return *chosen;
}

}  // namespace thimble::quant
