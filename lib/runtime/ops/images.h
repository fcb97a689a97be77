#pragma once
// What the operators over images and sequences share; images.cpp lists them.

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "runtime/ops/ops.h"

namespace thimble::runtime {

std::span<const Operator> convolution_operators();    // convolution.cpp: f32 and f64
std::span<const Operator> whole_convolutions();       // convolution_whole.cpp: int8
std::span<const Operator> pool_operators();           // pool.cpp
std::span<const Operator> normalization_operators();  // normalize.cpp
std::span<const Operator> resize_operators();         // resize.cpp
std::span<const Operator> rearranging_operators();    // rearrange.cpp: DepthToSpace, Pad, ...
std::span<const Operator> recurrent_operators();      // recurrent.cpp
std::span<const Operator> sampling_operators();       // sample.cpp: GridSample, RoiAlign, ...
std::span<const Operator> spreading_operators();      // spread.cpp: MaxUnpool, Col2Im
std::span<const Operator> row_normalizations();       // normalize_rows.cpp

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

// Up to three spatial axes, the last ones used; those in front are 1 long.
using Space = std::array<std::int64_t, 3>;
inline std::int64_t volume(const Space& s) { return s[0] * s[1] * s[2]; }

// Windows that slide over an image [batch, channels, spatial...]: the attributes `kernel_shape`,
// `strides`, `dilations`, `pads`, `auto_pad`, `ceil_mode` of ONNX's convolutions and pools.
struct Windows {
  std::size_t rank = 0;  // spatial axes, 1 to 3
  Space in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1};
  Space begin{0, 0, 0}, end{0, 0, 0};  // padding, >= 0

  std::int64_t extent(std::size_t d) const { return (kernel[d] - 1) * dilation[d] + 1; }
  // The dims of a result of `channels`.
  Dims result(std::int64_t batch, std::int64_t channels) const;
};
// `kernel`: the spatial dims of a weight, or empty: `kernel_shape` says it. Checks everything.
Expected<Windows> windows_of(const Call& call, const Dims& image,
                             std::span<const std::int64_t> kernel);
// The parts of it that transposed convolutions and Col2Im share: all but pads and `out`.
Expected<Windows> steps_of(const Call& call, const Dims& image,
                           std::span<const std::int64_t> kernel);

// The taps [first, last) of a window at `start` that fall inside [0, size).
struct Taps {
  std::int64_t first, last;
};
Taps taps_inside(std::int64_t start, std::int64_t kernel, std::int64_t dilation, std::int64_t size);

}  // namespace thimble::runtime
