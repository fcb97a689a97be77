#pragma once
// Constants of 8 bits with a scale per row, as weights on their own grid.

#include <optional>

#include "ir/weight.h"

namespace thimble::formats::onnx {

// w = scale * (code - zero) for a dense weight of u8 or i8 codes. `scales`: one, or one for each
// place on `axis`; zeros, where there are any, all the same.
struct CodedParts {
  ir::Weight codes, scales;
  std::optional<ir::Weight> zeros;
  std::size_t axis = 0;
};

// As a convolution's weight [outputs, ...], or as that of a product of which `inputs_axis` are the
// inputs. Nothing where the parts don't fit, or their zeros differ.
std::optional<ir::Weight> coded_convolution_weight(const CodedParts& parts);
std::optional<ir::Weight> coded_product_weight(const CodedParts& parts, int inputs_axis);
// As a recurrent network's [directions, outputs, inputs] of codes [directions, inputs, outputs],
// with a scale for each direction or for each output of each.
std::optional<ir::Weight> coded_recurrent_weight(const CodedParts& parts);

}  // namespace thimble::formats::onnx
