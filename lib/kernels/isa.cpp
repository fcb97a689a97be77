#include "kernels/isa.h"

#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace thimble::kernels {
namespace {

#if defined(__x86_64__)
// clang 14 has no name for it in __builtin_cpu_supports.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

constexpr Isa kAll[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512Vnni, Isa::kNeon, Isa::kNeonDotprod};

Isa best() {
  Isa found = Isa::kScalar;
  for (const Isa isa : kAll) {
    if (cpu_has(isa)) found = isa;
  }
  return found;
}

Expected<Isa> choose() {
  const char* wanted = std::getenv("THIMBLE_ISA");
  if (wanted == nullptr || *wanted == '\0') return best();
  std::string available;
  for (const Isa isa : kAll) {
    if (!cpu_has(isa)) continue;
    if (isa_name(isa) == wanted) return isa;
    available += (available.empty() ? "" : ", ") + std::string(isa_name(isa));
  }
  return Error(ErrorCode::kUsage,
               "THIMBLE_ISA is '" + std::string(wanted) + "', which this CPU or this build lacks")
      .fix("it can be " + available);
}

}  // namespace

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kNeon:
      return "neon";
    case Isa::kNeonDotprod:
      return "neondotprod";
  }
  return "";
}

bool cpu_has(Isa isa) {
  if (isa == Isa::kScalar) return true;
#if defined(__x86_64__)
  if (isa == Isa::kAvx2)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (isa == Isa::kAvx512Vnni) {
    return cpu_has(Isa::kAvx2) && __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  }
#elif defined(__aarch64__)
  if (isa == Isa::kNeon) return true;
  if (isa == Isa::kNeonDotprod) return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#endif
  return false;
}

Expected<Isa> active_isa() {
  static const Expected<Isa> chosen = choose();
  return chosen;
}

}  // namespace thimble::kernels
