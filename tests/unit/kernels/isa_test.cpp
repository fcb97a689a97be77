#include "kernels/isa.h"

#include <set>
#include <string>

#include "kernels/coded.h"
#include "kernels/linear.h"
#include "unit/catch.h"

namespace thimble::kernels {

TEST_CASE("every variant is listed once, scalar first") {
  std::set<std::string> names;
  for (const LinearKernels* variant : linear_variants()) {
    CHECK(names.insert(std::string(isa_name(variant->isa))).second);
    CHECK(&linear_kernels(variant->isa) == variant);
  }
  CHECK(linear_variants().front()->isa == Isa::kScalar);
  for (const CodedKernels* variant : coded_variants())
    CHECK(&coded_kernels(variant->isa) == variant);
#if defined(__x86_64__)
  CHECK(names == std::set<std::string>{"scalar", "avx2", "avx512vnni", "avx512amx"});
#elif defined(__aarch64__)
  CHECK(names == std::set<std::string>{"scalar", "neon", "neondotprod"});
#endif
}

TEST_CASE("the process uses an ISA that the CPU has") {
  const Expected<Isa> isa = active_isa();
  if (isa.has_value()) {
    CHECK(cpu_has(*isa));
    CHECK(linear_kernels(*isa).isa <= *isa);
    CHECK(coded_kernels(*isa).isa == *isa);  // which has a variant for each
  } else {
    // Only a THIMBLE_ISA from outside can be wrong; the remedy names what there is.
    CHECK(isa.error().remedy.find("scalar") != std::string::npos);
  }
}

}  // namespace thimble::kernels
