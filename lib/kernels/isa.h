#pragma once
// Instruction sets that kernels are written for, and the one choice among them.
//
// A family of kernels (linear.h, attention.h, rows.h) is a struct of function pointers; each ISA
// file fills one in. `variants()` of a family lists them scalar first, and the dispatch, the tests
// and the benchmarks all read that list, so that none can be added untested. Every variant gives
// the same bits.

#include <span>
#include <string_view>

#include "support/expected.h"

namespace thimble::kernels {

// Of one machine, each has all that those before it have.
enum class Isa { kScalar, kAvx2, kAvx512Vnni, kAvx512Amx, kNeon, kNeonDotprod };

std::string_view isa_name(Isa isa);  // "scalar", "avx2", "avx512vnni", "avx512amx", "neon", ...
bool cpu_has(Isa isa);

// What the process uses: the best that the CPU has, or what THIMBLE_ISA names. The first call
// decides. Naming an ISA that is unknown, not compiled in or not in this CPU is an error.
Expected<Isa> active_isa();

// The best of a family's variants that an ISA runs: not every family has one for each.
template <class Kernels>
const Kernels& best_variant(std::span<const Kernels* const> variants, Isa isa) {
  const Kernels* best = variants.front();
  for (const Kernels* variant : variants) {
    if (variant->isa <= isa) best = variant;
  }
  return *best;
}

}  // namespace thimble::kernels
