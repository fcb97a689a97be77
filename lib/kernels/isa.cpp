#include "kernels/isa.h"

#include <cstdlib>
#include <string>

#if defined(__x86_64__)
#include <cpuid.h>
#include <unistd.h>

#include <sys/syscall.h>
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

// Matrix registers are the kernel's to grant, once a process.
bool has_amx() {
#if defined(__linux__)
  constexpr unsigned kTiles = 1u << 24, kBytes = 1u << 25;
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  unsigned a = 0, b = 0, c = 0, d = 0;
  static const bool granted = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d & kTiles) != 0 &&
                              (d & kBytes) != 0 &&
                              syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}
#endif

constexpr Isa kAll[] = {Isa::kScalar,    Isa::kAvx2, Isa::kAvx512Vnni,
                        Isa::kAvx512Amx, Isa::kNeon, Isa::kNeonDotprod};

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
    case Isa::kAvx512Amx:
      return "avx512amx";
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
    return cpu_has(Isa::kAvx2) && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
  }
  if (isa == Isa::kAvx512Amx) return cpu_has(Isa::kAvx512Vnni) && has_amx();
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
