#pragma once
// How operators get at their inputs and results, whatever the elements' type.

#include <cstdint>
#include <string>

#include "runtime/ops/ops.h"

namespace thimble::runtime {

// Null where it is absent.
inline const Value* input_at(const Call& call, std::size_t i) {
  return i < call.inputs.size() ? call.inputs[i] : nullptr;
}
inline Value* output_at(const Call& call, std::size_t i) {
  return i < call.outputs.size() ? call.outputs[i] : nullptr;
}
inline Status demand(bool right, const char* message) {
  return right ? ok() : Status(invalid_argument(message));
}
template <class T>
const T* data_of(const Value& value) {
  return static_cast<const T*>(value.data);
}
template <class T>
T* data_of(Value& value) {
  return static_cast<T*>(value.data);
}
inline bool is_real(program::Type type) {
  return type == program::Type::kF32 || type == program::Type::kF64;
}
// The product of dims [begin, end).
std::int64_t product_of(const Dims& dims, std::size_t begin, std::size_t end);

// Elements of numeric types. `f` is called with a value of the element's type; an error for others.
template <class F>
Status with_real(program::Type type, F f) {
  if (type == program::Type::kF32) return f(float{});
  if (type == program::Type::kF64) return f(double{});
  return unsupported("the operator takes f32 or f64");
}
template <class F>
Status with_number(program::Type type, F f) {
  switch (type) {
    case program::Type::kF32:
      return f(float{});
    case program::Type::kF64:
      return f(double{});
    case program::Type::kU8:
    case program::Type::kBool:
      return f(std::uint8_t{});
    case program::Type::kI8:
      return f(std::int8_t{});
    case program::Type::kU16:
      return f(std::uint16_t{});
    case program::Type::kI16:
      return f(std::int16_t{});
    case program::Type::kU32:
      return f(std::uint32_t{});
    case program::Type::kI32:
      return f(std::int32_t{});
    case program::Type::kU64:
      return f(std::uint64_t{});
    case program::Type::kI64:
      return f(std::int64_t{});
    default:
      return unsupported("the operator doesn't take " + std::string(program::type_name(type)));
  }
}

inline std::size_t element_bytes(const Value& value) {
  return static_cast<std::size_t>(program::type_bytes(value.type));
}
inline std::byte* bytes_of(const Value& value) { return static_cast<std::byte*>(value.data); }
inline std::size_t byte_count(const Value& value) {
  return static_cast<std::size_t>(value.count()) * element_bytes(value);
}

// An element of an i64 or i32 value as a number.
inline bool is_index(program::Type type) {
  return type == program::Type::kI64 || type == program::Type::kI32;
}
inline std::int64_t index_at(const Value& indices, std::int64_t i) {
  return indices.type == program::Type::kI64 ? data_of<std::int64_t>(indices)[i]
                                             : data_of<std::int32_t>(indices)[i];
}
// The same counted from the front; an error when it is outside [-limit, limit).
Expected<std::int64_t> index_within(const Value& indices, std::int64_t i, std::int64_t limit);

// The integers of an optional list of an instruction's; empty when it is absent.
inline std::span<const std::int64_t> list_of(const Call& call, std::string_view name) {
  const program::Attribute* attribute = call.instruction.find(name);
  return attribute == nullptr ? std::span<const std::int64_t>() : attribute->ints;
}

// Elements of y in order, each from x at its own strides (copy_strided.cpp).
void copy_strided(Machine& machine, const Value& x, const Dims& strides, std::int64_t start,
                  Value& y);

}  // namespace thimble::runtime
