#pragma once
// Element types, numbered as ONNX's TensorProto.DataType numbers them.

#include <cstdint>
#include <optional>
#include <string_view>

namespace thimble::ir {

enum class DType : std::uint8_t {
  kUndefined = 0,
  kF32 = 1,
  kU8 = 2,
  kI8 = 3,
  kU16 = 4,
  kI16 = 5,
  kI32 = 6,
  kI64 = 7,
  kString = 8,
  kBool = 9,
  kF16 = 10,
  kF64 = 11,
  kU32 = 12,
  kU64 = 13,
  kC64 = 14,
  kC128 = 15,
  kBF16 = 16,
  kF8E4M3FN = 17,
  kF8E4M3FNUZ = 18,
  kF8E5M2 = 19,
  kF8E5M2FNUZ = 20,
  kU4 = 21,
  kI4 = 22,
  kF4E2M1 = 23,
  kF8E8M0 = 24,
  kU2 = 25,
  kI2 = 26,
};

std::string_view dtype_name(DType type);  // "f32", "bf16", "i64", "bool", "u4", ...
std::optional<DType> dtype_from_name(std::string_view name);
int dtype_bits(DType type);  // 32 for kF32, 4 for kU4, 0 for strings
bool dtype_is_float(DType type);

}  // namespace thimble::ir
