// Resize. One axis at a time is worked out before anything moves: for every place of the result the
// taps it is made of and their weights (after ONNX's Resize-19: half_pixel and its kin, antialias,
// exclude_outside). The result is the sum over the product of the axes' taps: a row of it is first
// summed over the other axes' taps, element by element of x's rows, and then over its own.

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/ops/images.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Type;

constexpr std::int64_t kMostTaps = 1 << 16;

enum class Mode { kNearest, kLinear, kCubic };

struct Resize {
  Mode mode = Mode::kNearest;
  std::string_view coordinates, rounding;
  bool antialias = false, exclude_outside = false;
  double cubic = -0.75;
  double outside = 0;  // the value beyond the region of tf_crop_and_resize
  Dims out;
  std::vector<double> scales, starts, ends;  // by axis; the region as parts of the axis
};

Expected<std::vector<double>> reals_of(const Value& value) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < value.count(); ++i) {
    if (value.type == Type::kF32) {
      out.push_back(data_of<float>(value)[i]);
    } else if (value.type == Type::kF64) {
      out.push_back(data_of<double>(value)[i]);
    } else {
      return invalid_argument("Resize takes scales and a region of f32 or f64");
    }
  }
  return out;
}

Expected<std::vector<std::size_t>> axes_of(const Call& call, std::size_t rank) {
  std::vector<std::size_t> axes;
  const program::Attribute* given = call.instruction.find("axes");
  if (given == nullptr || given->ints.empty()) {
    for (std::size_t d = 0; d < rank; ++d) axes.push_back(d);
    return axes;
  }
  for (const std::int64_t number : given->ints) {
    THIMBLE_ASSIGN(const std::size_t axis, axis_at(number, rank));
    axes.push_back(axis);
  }
  return axes;
}

Status read_region(const Call& call, const std::vector<std::size_t>& axes, Resize& r) {
  const Value* roi = input_at(call, 1);
  if (roi == nullptr || roi->count() == 0 || r.coordinates != "tf_crop_and_resize") return ok();
  THIMBLE_ASSIGN(const std::vector<double> region, reals_of(*roi));
  if (region.size() != 2 * axes.size())
    return invalid_argument("Resize's region doesn't have two numbers an axis");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (!(std::fabs(region[i]) < 1e6) || !(std::fabs(region[axes.size() + i]) < 1e6))
      return invalid_argument("Resize's region is out of range");
    r.starts[axes[i]] = region[i];
    r.ends[axes[i]] = region[axes.size() + i];
  }
  return ok();
}

Status read_scales(const Value& given, const Dims& x, const std::vector<std::size_t>& axes,
                   Resize& r) {
  THIMBLE_ASSIGN(const std::vector<double> scales, reals_of(given));
  if (scales.size() != axes.size())
    return invalid_argument("Resize's scales don't have one number an axis");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t d = axes[i];
    if (!(scales[i] > 0 && scales[i] < 1e9))
      return invalid_argument("Resize's scales are out of range");
    r.scales[d] = scales[i];
    const double room = r.coordinates == "tf_crop_and_resize" ? r.ends[d] - r.starts[d] : 1.0;
    // In f32, as the scales are: 10 * 0.7f is 7.
    const double size =
        std::floor(static_cast<float>(static_cast<double>(x[d]) * room * scales[i]));
    if (!(size >= 0 && size < 1e12)) return invalid_argument("Resize's result is too large");
    r.out[d] = whole(size);
  }
  return ok();
}

Status read_sizes(const Call& call, const Value& given, const Dims& x,
                  const std::vector<std::size_t>& axes, Resize& r) {
  THIMBLE_ASSIGN(const Dims sizes, integers_of(given));
  if (sizes.size() != axes.size())
    return invalid_argument("Resize's sizes don't have one number an axis");
  const std::string_view policy = call.instruction.text("keep_aspect_ratio_policy", "stretch");
  double common = policy == "not_larger" ? 1e300 : 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (sizes[i] < 0 || sizes[i] > std::int64_t{1} << 40 || (x[axes[i]] == 0 && sizes[i] != 0))
      return invalid_argument("Resize's sizes are out of range");
    const double scale =
        x[axes[i]] > 0 ? static_cast<double>(sizes[i]) / static_cast<double>(x[axes[i]]) : 1;
    common = policy == "not_larger" ? std::min(common, scale) : std::max(common, scale);
    r.scales[axes[i]] = scale;
    r.out[axes[i]] = sizes[i];
  }
  if (policy == "stretch") return ok();
  if (policy != "not_larger" && policy != "not_smaller")
    return invalid_argument("keep_aspect_ratio_policy is unknown");
  for (const std::size_t d : axes) {
    r.scales[d] = common;
    r.out[d] = whole(std::floor(static_cast<double>(x[d]) * common + 0.5));
  }
  return ok();
}

Expected<Resize> resize_of(const Call& call) {
  const program::Instruction& i = call.instruction;
  const Dims& x = call.inputs[0]->dims;
  Resize r;
  const std::string_view mode = i.text("mode", "nearest");
  if (mode != "nearest" && mode != "linear" && mode != "cubic")
    return invalid_argument("Resize's mode is unknown");
  r.mode = mode == "nearest" ? Mode::kNearest : mode == "linear" ? Mode::kLinear : Mode::kCubic;
  r.coordinates = i.text("coordinate_transformation_mode", "half_pixel");
  r.rounding = i.text("nearest_mode", "round_prefer_floor");
  r.antialias = i.integer("antialias", 0) != 0;
  r.exclude_outside = i.integer("exclude_outside", 0) != 0;
  r.cubic = i.real("cubic_coeff_a", -0.75f);
  r.outside = i.real("extrapolation_value", 0.0f);
  r.out = x;
  r.scales.assign(x.size(), 1);
  r.starts.assign(x.size(), 0);
  r.ends.assign(x.size(), 1);
  THIMBLE_ASSIGN(const std::vector<std::size_t> axes, axes_of(call, x.size()));
  THIMBLE_TRY(read_region(call, axes, r));
  const Value *scales = input_at(call, 2), *sizes = input_at(call, 3);
  if (sizes != nullptr && sizes->count() > 0) {
    THIMBLE_TRY(read_sizes(call, *sizes, x, axes, r));
  } else if (scales != nullptr && scales->count() > 0) {
    THIMBLE_TRY(read_scales(*scales, x, axes, r));
  } else {
    return invalid_argument("Resize takes scales or sizes");
  }
  return r;
}

// Where place `at` of the result lies on axis d of x; `inside`: within x (tf_crop_and_resize).
double coordinate(const Resize& r, std::size_t d, std::int64_t size, std::int64_t at,
                  bool& inside) {
  const auto x = static_cast<double>(at), in = static_cast<double>(size);
  const double scale = r.scales[d];
  const double out = scale * in;  // with scales given it needn't be whole
  if (r.coordinates == "asymmetric") return x / scale;
  if (r.coordinates == "align_corners") return out == 1 ? 0 : x * (in - 1) / (out - 1);
  if (r.coordinates == "tf_half_pixel_for_nn") return (x + 0.5) / scale;
  if (r.coordinates == "pytorch_half_pixel") return out == 1 ? 0 : (x + 0.5) / scale - 0.5;
  if (r.coordinates == "half_pixel_symmetric") {
    const double adjustment = static_cast<double>(r.out[d]) / out;
    return in / 2 * (1 - adjustment) + (x + 0.5) / scale - 0.5;
  }
  if (r.coordinates == "tf_crop_and_resize") {
    const double y =
        out == 1 ? 0.5 * (r.starts[d] + r.ends[d]) * (in - 1)
                 : r.starts[d] * (in - 1) + x * (r.ends[d] - r.starts[d]) * (in - 1) / (out - 1);
    inside = y >= 0 && y <= in - 1;
    return y;
  }
  return (x + 0.5) / scale - 0.5;
}

double nearest_place(std::string_view rounding, double x) {
  if (rounding == "floor") return std::floor(x);
  if (rounding == "ceil") return std::ceil(x);
  if (rounding == "round_prefer_ceil") return std::floor(x + 0.5);
  return std::ceil(x - 0.5);
}

double cubic_weight(double distance, double a) {
  const double x = std::fabs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// An axis that stays as it is.
bool is_kept(const Resize& r, std::size_t d) {
  return r.scales[d] == 1 && !r.coordinates.starts_with("tf_");
}

// Taps that an axis's places take, at most.
std::int64_t taps_of(const Resize& r, std::size_t d) {
  if (r.mode == Mode::kNearest || is_kept(r, d) || r.out[d] == 0) return 1;
  const double reach = r.mode == Mode::kLinear ? 1 : 2;
  if (!r.antialias || r.scales[d] >= 1) return r.mode == Mode::kLinear ? 2 : 4;
  return whole(std::ceil(2 * reach / r.scales[d])) + 2;
}

// The taps of one place: offsets and weights.
struct AxisTaps {
  std::int64_t count = 1;  // per place
  std::int64_t* offsets = nullptr;
  double* weights = nullptr;
  std::uint8_t* inside = nullptr;  // per place
};

void fill_taps(const Resize& r, std::size_t d, std::int64_t size, std::int64_t stride,
               std::int64_t at, const AxisTaps& axis) {
  bool inside = true;
  const double x = coordinate(r, d, size, at, inside);
  axis.inside[at] = inside ? 1 : 0;
  std::int64_t* offsets = axis.offsets + at * axis.count;
  double* weights = axis.weights + at * axis.count;
  const std::int64_t most = size - 1;
  if (is_kept(r, d)) {
    offsets[0] = at * stride;
    weights[0] = 1;
    return;
  }
  if (r.mode == Mode::kNearest) {
    offsets[0] = std::clamp<std::int64_t>(whole(nearest_place(r.rounding, x)), 0, most) * stride;
    weights[0] = 1;
    return;
  }
  const double narrow = r.antialias && r.scales[d] < 1 ? r.scales[d] : 1;
  const double reach = (r.mode == Mode::kLinear ? 1 : 2) / narrow;
  const std::int64_t first = whole(std::floor(x - reach)) + 1;
  double sum = 0;
  for (std::int64_t k = 0; k < axis.count; ++k) {
    const double distance = (static_cast<double>(first + k) - x) * narrow;
    const bool there = first + k >= 0 && first + k <= most;
    double weight = r.mode == Mode::kLinear ? std::max(1 - std::fabs(distance), 0.0)
                                            : cubic_weight(distance, r.cubic);
    if (r.exclude_outside && !there) weight = 0;
    offsets[k] = std::clamp<std::int64_t>(first + k, 0, most) * stride;
    weights[k] = weight;
    sum += weight;
  }
  if ((r.exclude_outside || narrow < 1) && sum != 0) {
    for (std::int64_t k = 0; k < axis.count; ++k) weights[k] /= sum;
  }
}

Status shape_resize(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(demand(call.outputs[0]->type == x.type, "Resize's result has another type"));
  THIMBLE_TRY(with_number(x.type, [](auto) { return ok(); }));
  THIMBLE_ASSIGN(const Resize r, resize_of(call));
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    if (taps_of(r, d) > kMostTaps) return unsupported("Resize would shrink the image too much");
    if (x.dims[d] == 0 && r.out[d] > 0) return invalid_argument("Resize has nothing to enlarge");
  }
  results[0] = r.out;
  return ok();
}

// What a thread needs: a row of x, summed over the taps of all axes but its own.
std::size_t row_length(const Call& call, const Resize& r) {
  return r.mode == Mode::kNearest ? 0 : static_cast<std::size_t>(call.inputs[0]->dims.back());
}
std::size_t row_bytes(const Call& call, const Resize& r) {
  return Memory::aligned(row_length(call, r) * sizeof(double));
}

std::size_t taps_bytes(const Resize& r) {
  std::size_t bytes = 0;
  for (std::size_t d = 0; d < r.out.size(); ++d) {
    const auto places = static_cast<std::size_t>(r.out[d]);
    bytes +=
        places * static_cast<std::size_t>(taps_of(r, d)) * 16 + round_up<std::size_t>(places, 8);
  }
  return Memory::aligned(bytes);
}

std::size_t scratch_resize(const Call& call) {
  const auto r = resize_of(call);
  if (!r || count_of(r->out) == 0 || r->out.empty()) return 0;
  const auto threads = static_cast<std::size_t>(call.machine.pool.threads());
  return taps_bytes(*r) + threads * row_bytes(call, *r);
}

std::vector<AxisTaps> lay_out_taps(const Call& call, const Resize& r) {
  const Dims& x = call.inputs[0]->dims;
  const Dims strides = strides_of(x);
  std::byte* memory = call.scratch.data();
  std::vector<AxisTaps> axes;
  for (std::size_t d = 0; d < x.size(); ++d) {
    AxisTaps axis;
    axis.count = taps_of(r, d);
    const auto taps = static_cast<std::size_t>(r.out[d] * axis.count);
    axis.offsets = reinterpret_cast<std::int64_t*>(memory);
    axis.weights = reinterpret_cast<double*>(memory + 8 * taps);
    axis.inside = reinterpret_cast<std::uint8_t*>(memory + 16 * taps);
    memory += 16 * taps + round_up(static_cast<std::size_t>(r.out[d]), std::size_t{8});
    for (std::int64_t at = 0; at < r.out[d]; ++at) fill_taps(r, d, x[d], strides[d], at, axis);
    axes.push_back(axis);
  }
  return axes;
}

// Adds weight * x's row to `sums` for every product of the taps of axes d and up but the last.
template <class T>
void add_rows(const T* x, double weight, const std::vector<AxisTaps>& axes, const Dims& at,
              std::size_t d, std::span<double> sums) {
  if (d + 1 == axes.size()) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += weight * static_cast<double>(x[i]);
    return;
  }
  const AxisTaps& axis = axes[d];
  for (std::int64_t k = at[d] * axis.count; k < (at[d] + 1) * axis.count; ++k) {
    if (axis.weights[k] != 0)
      add_rows(x + axis.offsets[k], weight * axis.weights[k], axes, at, d + 1, sums);
  }
}

template <class T>
T rounded(double value) {
  if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(
        whole(std::clamp(value, static_cast<double>(std::numeric_limits<T>::min()),
                         static_cast<double>(std::numeric_limits<T>::max()))));
  } else {
    return static_cast<T>(value);
  }
}

// A row of the result out of the blended rows of x: COUNT taps a place, all of them in the region.
template <std::int64_t COUNT, class T>
void blend_row(const AxisTaps& axis, const double* sums, std::int64_t width, T* y) {
  const std::int64_t* offsets = axis.offsets;
  const double* weights = axis.weights;
  for (std::int64_t i = 0; i < width; ++i, offsets += COUNT, weights += COUNT) {
    double sum = 0;
    for (std::int64_t k = 0; k < COUNT; ++k) sum += weights[k] * sums[offsets[k]];
    y[i] = rounded<T>(sum);
  }
}

// Rows [begin, end) of the result; `sums` is a row of x's.
template <class T>
void resize_rows(Call& call, const Resize& r, const std::vector<AxisTaps>& axes, std::int64_t begin,
                 std::int64_t end, std::span<double> sums) {
  const T* x = data_of<T>(*call.inputs[0]);
  const std::size_t rank = r.out.size();
  const std::int64_t width = r.out.back();
  const AxisTaps& last = axes.back();
  T* y = data_of<T>(*call.outputs[0]) + begin * width;
  Dims at(rank, 0);
  const bool whole = std::find(last.inside, last.inside + width, 0) == last.inside + width;
  for (std::int64_t row = begin; row < end; ++row, y += width) {
    bool inside = true;
    std::int64_t rest = row, base = 0;
    for (std::size_t d = rank - 1; d-- > 0;) {
      at[d] = rest % r.out[d];
      rest /= r.out[d];
      inside = inside && axes[d].inside[at[d]] != 0;
      base += axes[d].offsets[at[d] * axes[d].count];
    }
    const auto fill = [&](auto value) {
      for (std::int64_t i = 0; i < width; ++i)
        y[i] = inside && last.inside[i] != 0 ? value(i) : rounded<T>(r.outside);
    };
    if (r.mode == Mode::kNearest) {
      fill([&](std::int64_t i) { return x[base + last.offsets[i]]; });
      continue;
    }
    std::fill(sums.begin(), sums.end(), 0.0);
    add_rows(x, 1.0, axes, at, 0, sums);
    if (inside && whole && last.count == 2) {
      blend_row<2>(last, sums.data(), width, y);
      continue;
    }
    if (inside && whole && last.count == 4) {
      blend_row<4>(last, sums.data(), width, y);
      continue;
    }
    fill([&](std::int64_t i) {
      double sum = 0;
      for (std::int64_t k = i * last.count; k < (i + 1) * last.count; ++k)
        sum += last.weights[k] * sums[static_cast<std::size_t>(last.offsets[k])];
      return rounded<T>(sum);
    });
  }
}

Status run_resize(Call& call) {
  THIMBLE_ASSIGN(const Resize r, resize_of(call));
  const Value& x = *call.inputs[0];
  const std::int64_t count = count_of(r.out);
  if (count == 0) return ok();
  if (r.out.empty()) {
    std::copy_n(static_cast<const std::byte*>(x.data), program::type_bytes(x.type),
                static_cast<std::byte*>(call.outputs[0]->data));
    return ok();
  }
  const std::vector<AxisTaps> axes = lay_out_taps(call, r);
  const std::int64_t width = r.out.back();
  ScratchParts scratch(call.scratch.subspan(taps_bytes(r)), call.machine.pool.threads(),
                       row_bytes(call, r));
  return with_number(x.type, [&](auto zero) {
    over_rows(call.machine, scratch, count / width, width * 16,
              [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
                resize_rows<decltype(zero)>(
                    call, r, axes, begin, end,
                    {reinterpret_cast<double*>(memory), row_length(call, r)});
              });
    return ok();
  });
}

}  // namespace

std::span<const Operator> resize_operators() {
  static constexpr Operator kOperators[] = {
      {program::Op::kResize, run_resize, scratch_resize, shape_resize},
  };
  return kOperators;
}

}  // namespace thimble::runtime
