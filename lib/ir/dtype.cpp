#include "ir/dtype.h"

#include <array>

namespace thimble::ir {
namespace {

struct TypeInfo {
  std::string_view name;
  int bits;
  bool is_float;
};

// By ONNX's number.
constexpr std::array<TypeInfo, 27> kTypes = {{
    {"undefined", 0, false}, {"f32", 32, true},     {"u8", 8, false},        {"i8", 8, false},
    {"u16", 16, false},      {"i16", 16, false},    {"i32", 32, false},      {"i64", 64, false},
    {"string", 0, false},    {"bool", 8, false},    {"f16", 16, true},       {"f64", 64, true},
    {"u32", 32, false},      {"u64", 64, false},    {"c64", 64, false},      {"c128", 128, false},
    {"bf16", 16, true},      {"f8e4m3fn", 8, true}, {"f8e4m3fnuz", 8, true}, {"f8e5m2", 8, true},
    {"f8e5m2fnuz", 8, true}, {"u4", 4, false},      {"i4", 4, false},        {"f4e2m1", 4, true},
    {"f8e8m0", 8, true},     {"u2", 2, false},      {"i2", 2, false},
}};

const TypeInfo& info(DType type) {
  const auto index = static_cast<std::size_t>(type);
  return kTypes[index < kTypes.size() ? index : 0];
}

}  // namespace

std::string_view dtype_name(DType type) { return info(type).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kTypes.size(); ++i) {
    if (kTypes[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

int dtype_bits(DType type) { return info(type).bits; }

bool dtype_is_float(DType type) { return info(type).is_float; }

}  // namespace thimble::ir
