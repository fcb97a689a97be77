#pragma once
// What a convolution multiplies its weight with: its windows of an image, as rows of a matrix.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "ir/match.h"
#include "runtime/session.h"

namespace thimble::calibrate {

// A row holds the channels of a group, and of each its taps in the weight's order; taps in the
// padding are 0.
struct Patches {
  std::int64_t groups = 1;
  std::int64_t channels = 1;                     // of a group
  std::vector<std::int64_t> kernel;              // by spatial axis, as the rest
  std::vector<std::int64_t> strides, dilations;  // empty: 1
  std::vector<std::int64_t> pads;                // all begins, then all ends; empty: 0
  std::string auto_pad;                          // ONNX's

  // Of a graph whose shapes were inferred, which checks the attributes.
  static Patches of(const ir::Model& model, ir::NodeId node, const ir::Convolution& convolution);
  std::int64_t width() const;  // of a row
  bool operator==(const Patches&) const = default;
};

// Calls `f` with the rows of an f32 image [batch, channels, spatial...] for one group, in the order
// of the convolution's outputs; some rows at a time. Errors: an image that doesn't fit.
Status each_patch(const Patches& patches, const runtime::TensorView& image, std::int64_t group,
                  const std::function<void(std::span<const float> rows)>& f);

}  // namespace thimble::calibrate
