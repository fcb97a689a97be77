#include "kernels/rows.h"

namespace thimble::kernels {

extern const RowKernels kRowsScalar;
#if defined(__x86_64__)
extern const RowKernels kRowsAvx2;
extern const RowKernels kRowsAvx512;
#elif defined(__aarch64__)
extern const RowKernels kRowsNeon;
#endif

std::span<const RowKernels* const> row_variants() {
  static const RowKernels* const kVariants[] = {
    &kRowsScalar,
#if defined(__x86_64__)
    &kRowsAvx2,
    &kRowsAvx512,
#elif defined(__aarch64__)
    &kRowsNeon,
#endif
  };
  return kVariants;
}

const RowKernels& row_kernels(Isa isa) { return best_variant(row_variants(), isa); }

}  // namespace thimble::kernels
