#pragma once
// What codes stand for: whole numbers, or levels of a table (quant/levels.h), by the names that
// recipes give them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/dtype.h"

namespace thimble::passes {

enum class Codes : std::uint8_t {
  kUniform,
  kNormal,
  kNf4,
  kIq4Nl,
  kFitted,
  kMxfp4,   // E2M1 under a power of two per 32 (OCP MX)
  kNvfp4,   // E2M1 under an E4M3 per 16 (NVIDIA), the tensor's scale a power of two
  kTernary  // -1, 0, 1
};

// "nf4" and the like; kUniform for any other name.
Codes codes_named(std::string_view name);
// "'codes: nf4'"
std::string codes_text(Codes codes);

// Are there tables of so many bits?
bool codes_take(Codes codes, std::int64_t bits);
// The table for codes of so many bits that `codes_take`; kFitted starts from the normal levels.
std::vector<float> levels_of(Codes codes, std::int64_t bits);

// What the name of a whole format settles besides.
struct CodesFormat {
  Codes codes;
  std::int64_t bits, group_size;  // 0: any
  ir::DType scale_type;
};
const CodesFormat* format_of(Codes codes);  // null: nothing

}  // namespace thimble::passes
