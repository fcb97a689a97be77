#pragma once
// Payloads of convolutions on codes (lib/kernels/coded.h).

#include <memory>
#include <optional>

#include "ir/weight.h"
#include "lower/lower.h"

namespace thimble::lower {

// A convolution whose input and result have fixed scales. Zeros are codes, 0..255.
struct CodedConvolution {
  ir::Weight weight;               // [outputs, channels of a group, kernel...] with holds_codes()
  std::optional<ir::Weight> bias;  // [outputs] of floats
  std::int64_t group = 1;
  float x_scale = 1, y_scale = 1;
  std::int32_t x_zero = 0;

  bool depthwise() const { return group > 1 && weight.dims[0] == group && weight.dims[1] == 1; }
};

// Is the weight one of 8-bit codes with a scale per row or tensor, and without zero points?
bool holds_codes(const ir::Weight& weight);

// The weight in tiles, or of a depthwise one its taps; offsets and factors of the outputs. Tensors
// are filled in but for their segments.
program::Tensor coded_tensor(const CodedConvolution& conv);
std::unique_ptr<Payload> coded_payload(const CodedConvolution& conv);
std::unique_ptr<Payload> offset_payload(const CodedConvolution& conv);
std::unique_ptr<Payload> factor_payload(const CodedConvolution& conv);

}  // namespace thimble::lower
