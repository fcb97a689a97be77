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
    return &kernels::best_variant(fit_variants(), isa ? *isa : kernels::Isa::kScalar);
  }();
  return *chosen;
}

}  // namespace thimble::quant
