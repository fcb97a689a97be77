// Shapes of images that are resized, padded, rearranged and sampled, and of recurrent networks.

#include <algorithm>
#include <cmath>

#include "ir/ops/shape_context.h"
#include "ir/ops/shape_functions.h"

namespace thimble::ir::shapes {
namespace {

// The axes that attribute `axes` names, each once; all where it is absent.
Expected<std::vector<std::size_t>> named_axes(const std::vector<std::int64_t>& given, bool present,
                                              std::size_t rank) {
  std::vector<std::size_t> out;
  if (!present) {
    for (std::size_t d = 0; d < rank; ++d) out.push_back(d);
    return out;
  }
  for (const std::int64_t axis : given) {
    THIMBLE_ASSIGN(const std::size_t normal, normal_axis(axis, rank));
    if (std::find(out.begin(), out.end(), normal) != out.end())
      return invalid_file("axis " + std::to_string(axis) + " is named twice");
    out.push_back(normal);
  }
  return out;
}

Expected<std::vector<std::size_t>> attribute_axes(const ShapeContext& c, std::size_t rank) {
  return named_axes(c.node().integers("axes"), c.node().find("axes") != nullptr, rank);
}

// Sizes for `axes`, all stretched by one factor so that none (or none of the others) grows past
// what was asked.
Status keep_ratio(const ShapeContext& c, const std::vector<std::size_t>& axes, bool smaller,
                  Shape& out) {
  double common = smaller ? 1e300 : 0;
  for (const std::size_t d : axes) {
    const auto from = c.shape(0)[d].constant(), to = out[d].constant();
    if (!from || !to) return unsupported("keep_aspect_ratio_policy over sizes that are not known");
    const double scale = *from > 0 ? static_cast<double>(*to) / static_cast<double>(*from) : 1;
    common = smaller ? std::min(common, scale) : std::max(common, scale);
  }
  for (const std::size_t d : axes) {
    const double size = std::floor(static_cast<double>(*c.shape(0)[d].constant()) * common + 0.5);
    if (!(size >= 0 && size < 1e12)) return invalid_file("the result is too large");
    out[d] = static_cast<std::int64_t>(size);
  }
  return ok();
}

Status resize_to_sizes(ShapeContext& c, const std::vector<std::size_t>& axes, Shape& out) {
  THIMBLE_ASSIGN(const DimData sizes, c.need_data(3, "the sizes"));
  if (sizes.size() != axes.size()) return invalid_file("there isn't one size an axis");
  for (std::size_t i = 0; i < axes.size(); ++i) out[axes[i]] = sizes[i];
  const std::string_view policy = c.node().text("keep_aspect_ratio_policy", "stretch");
  if (policy == "stretch") return ok();
  if (policy != "not_larger" && policy != "not_smaller")
    return invalid_file("keep_aspect_ratio_policy is unknown: " + std::string(policy));
  return keep_ratio(c, axes, policy == "not_larger", out);
}

// floor(size * scale), for a scale that is a whole number or one over it when size is a symbol.
Expected<Dim> scaled(const Dim& size, float scale) {
  if (!(scale > 0) || scale > 1e9f) return invalid_file("a scale is out of range");
  if (const auto number = size.constant()) {
    const double out =
        std::floor(static_cast<float>(static_cast<double>(*number) * static_cast<double>(scale)));
    if (!(out >= 0 && out < 1e12)) return invalid_file("the result is too large");
    return Dim(static_cast<std::int64_t>(out));
  }
  if (scale >= 1 && scale == std::floor(scale)) return size * Dim(static_cast<std::int64_t>(scale));
  const float parts = 1 / scale;
  int exponent = 0;
  if (std::frexp(parts, &exponent) == 0.5f && exponent > 0 && exponent < 30)
    return Dim::floor_div(size, Dim(std::int64_t{1} << (exponent - 1)));
  return unsupported("a scale that is not a whole number, of a size that is not known");
}

Status resize_by_scales(ShapeContext& c, const std::vector<std::size_t>& axes, Shape& out) {
  if (c.node().text("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize")
    return unsupported("a region's share of the sizes");
  const auto scales = c.floats(2);
  if (!scales) return unsupported("scales that are computed from data");
  if (scales->size() != axes.size()) return invalid_file("there isn't one scale an axis");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    THIMBLE_ASSIGN(out[axes[i]], scaled(out[axes[i]], (*scales)[i]));
  }
  return ok();
}

bool is_given(const ShapeContext& c, std::size_t input) {
  return c.has(input) && element_count(c.shape(input)) != Dim(0);
}

}  // namespace

// (x, roi, scales, sizes).
Status resize(ShapeContext& c) {
  Shape out = c.shape(0);
  THIMBLE_ASSIGN(const std::vector<std::size_t> axes, attribute_axes(c, out.size()));
  if (is_given(c, 3)) {
    THIMBLE_TRY(resize_to_sizes(c, axes, out));
  } else if (is_given(c, 2)) {
    THIMBLE_TRY(resize_by_scales(c, axes, out));
  } else {
    return invalid_file("neither scales nor sizes are given");
  }
  c.give(c.dtype(0), std::move(out));
  return ok();
}

// (x, pads, value, axes).
Status pad(ShapeContext& c) {
  Shape out = c.shape(0);
  THIMBLE_ASSIGN(const DimData pads, c.need_data(1, "the pads"));
  std::vector<std::int64_t> given;
  if (c.has(3)) {
    THIMBLE_ASSIGN(given, c.need_numbers(3, "the axes"));
  }
  THIMBLE_ASSIGN(const std::vector<std::size_t> axes, named_axes(given, c.has(3), out.size()));
  if (pads.size() != 2 * axes.size()) return invalid_file("pads has not two numbers an axis");
  for (std::size_t i = 0; i < axes.size(); ++i)
    out[axes[i]] = out[axes[i]] + pads[i] + pads[axes.size() + i];
  c.give(c.dtype(0), std::move(out));
  return ok();
}

Status center_crop_pad(ShapeContext& c) {
  Shape out = c.shape(0);
  THIMBLE_ASSIGN(const DimData sizes, c.need_data(1, "the shape"));
  THIMBLE_ASSIGN(const std::vector<std::size_t> axes, attribute_axes(c, out.size()));
  if (sizes.size() != axes.size()) return invalid_file("the shape has not one size an axis");
  for (std::size_t i = 0; i < axes.size(); ++i) out[axes[i]] = sizes[i];
  c.give(c.dtype(0), std::move(out));
  return ok();
}

Status blocks(ShapeContext& c) {
  const Shape& x = c.shape(0);
  const std::int64_t block = c.node().integer("blocksize", 0);
  if (x.size() != 4) return invalid_file("the operator takes [batch, channels, height, width]");
  if (block < 1 || block >= 1 << 15) return invalid_file("blocksize is out of range");
  const Dim side = block, area = block * block;
  if (c.node().op == "DepthToSpace") {
    c.give(c.dtype(0), {x[0], Dim::floor_div(x[1], area), x[2] * side, x[3] * side});
  } else {
    c.give(c.dtype(0), {x[0], x[1] * area, Dim::floor_div(x[2], side), Dim::floor_div(x[3], side)});
  }
  return ok();
}

// Y, then the mean and the variance that training passes on.
Status batch_normalization(ShapeContext& c) {
  c.give(
      {{c.dtype(0), c.shape(0), {}}, {c.dtype(3), c.shape(3), {}}, {c.dtype(4), c.shape(4), {}}});
  return ok();
}

// (x, grid [batch, places..., rank]).
Status grid_sample(ShapeContext& c) {
  const Shape &x = c.shape(0), &grid = c.shape(1);
  if (x.size() < 3 || grid.size() != x.size())
    return invalid_file("an image of shape " + to_string(x) + " and a grid of shape " +
                        to_string(grid) + " do not fit");
  Shape out = {x[0], x[1]};
  out.insert(out.end(), grid.begin() + 1, grid.end() - 1);
  c.give(c.dtype(0), std::move(out));
  return ok();
}

// (theta, size [batch, channels, spatial...]).
Status affine_grid(ShapeContext& c) {
  THIMBLE_ASSIGN(const DimData size, c.need_data(1, "the size"));
  if (size.size() < 4) return invalid_file("the size has fewer than two spatial axes");
  Shape out = {size[0]};
  out.insert(out.end(), size.begin() + 2, size.end());
  out.emplace_back(static_cast<std::int64_t>(size.size()) - 2);
  c.give(c.dtype(0), std::move(out));
  return ok();
}

Status roi_align(ShapeContext& c) {
  const Shape &x = c.shape(0), &regions = c.shape(1);
  if (x.size() != 4 || regions.size() != 2) return invalid_file("image and regions do not fit");
  c.give(c.dtype(0), {regions[0], x[1], c.node().integer("output_height", 1),
                      c.node().integer("output_width", 1)});
  return ok();
}

// (X [steps, batch, inputs], W, R [directions, gates * hidden, hidden], ...); with layout 1 the
// batch comes first.
Status recurrent(ShapeContext& c) {
  const Shape &x = c.shape(0), &r = c.shape(2);
  if (x.size() != 3 || r.size() != 3) return invalid_file("X and R have three axes");
  const bool batch_first = c.node().integer("layout", 0) != 0;
  const Dim steps = x[batch_first ? 1 : 0], batch = x[batch_first ? 0 : 1], hidden = r[2];
  const Dim directions = c.node().text("direction", "forward") == "bidirectional" ? 2 : 1;
  const Shape all = batch_first ? Shape{batch, steps, directions, hidden}
                                : Shape{steps, directions, batch, hidden};
  const Shape last =
      batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden};
  const DType type = c.dtype(0);
  c.give({{type, all, {}}, {type, last, {}}, {type, last, {}}});
  return ok();
}

}  // namespace thimble::ir::shapes
