// Images read at places that are computed: GridSample, AffineGrid, RoiAlign.

#include <algorithm>
#include <cmath>

#include "runtime/ops/images.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

// GridSample.

enum class Padding { kZeros, kBorder, kReflection };

struct Sampling {
  int taps = 2;  // an axis: 1 nearest, 2 linear, 4 cubic
  Padding padding = Padding::kZeros;
  bool align = false;
  std::size_t rank = 2;
  Space in{1, 1, 1};
};

Expected<Sampling> sampling_of(const Call& call) {
  const program::Instruction& i = call.instruction;
  const Dims &x = call.inputs[0]->dims, &grid = call.inputs[1]->dims;
  Sampling s;
  const std::string_view mode = i.text("mode", "linear"), padding = i.text("padding_mode", "zeros");
  if (mode == "nearest") {
    s.taps = 1;
  } else if (mode == "cubic" || mode == "bicubic") {
    s.taps = 4;
  } else if (mode != "linear" && mode != "bilinear") {
    return invalid_argument("GridSample's mode is unknown");
  }
  if (padding != "zeros" && padding != "border" && padding != "reflection")
    return invalid_argument("GridSample's padding_mode is unknown");
  s.padding = padding == "zeros"    ? Padding::kZeros
              : padding == "border" ? Padding::kBorder
                                    : Padding::kReflection;
  s.align = i.integer("align_corners", 0) != 0;
  if (x.size() < 3 || x.size() > 5 || grid.size() != x.size() || grid[0] != x[0] ||
      grid.back() != static_cast<std::int64_t>(x.size()) - 2) {
    return invalid_argument("GridSample's image and grid don't fit");
  }
  s.rank = x.size() - 2;
  std::copy(x.begin() + 2, x.end(), s.in.end() - static_cast<std::ptrdiff_t>(s.rank));
  return s;
}

Status shape_grid_sample(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &grid = *call.inputs[1];
  THIMBLE_TRY(demand(is_real(x.type) && grid.type == x.type && call.outputs[0]->type == x.type,
                     "GridSample takes f32 or f64"));
  THIMBLE_TRY(sampling_of(call));
  results[0] = grid.dims;
  results[0].pop_back();
  results[0].insert(results[0].begin() + 1, x.dims[1]);
  if (count_of(results[0]) > 0 && x.count() == 0)
    return invalid_argument("GridSample has nothing to read");
  return ok();
}

double reflect(double x, double least, double most) {
  const double range = most - least;
  if (!(range > 0)) return least;
  if (x >= least && x <= most) return x;
  const double off = x < least ? least - x : x - most;
  const double turns = std::floor(off / range), rest = off - turns * range;
  const bool even = std::floor(turns / 2) * 2 == turns;
  return (x < least) == even ? least + rest : most - rest;
}

// The taps of one axis; places outside that read as zero have weight 0.
struct AxisReads {
  std::array<std::int64_t, 4> places{};
  std::array<double, 4> weights{};
};

std::int64_t place_in(const Sampling& s, double at, std::int64_t size, double least, double most) {
  if (s.padding == Padding::kReflection) at = std::trunc(reflect(at, least, most));
  return std::clamp<std::int64_t>(whole(at), 0, size - 1);
}

AxisReads reads_of(const Sampling& s, double position, std::int64_t size) {
  const auto length = static_cast<double>(size);
  const double least = s.align ? 0 : -0.5, most = s.align ? length - 1 : length - 0.5;
  double x = s.align ? (position + 1) / 2 * (length - 1) : ((position + 1) * length - 1) / 2;
  if (s.taps == 1) x = std::nearbyint(x);
  if (x < least || x > most) {
    if (s.padding == Padding::kBorder) x = std::clamp(x, 0.0, length - 1);
    if (s.padding == Padding::kReflection) x = reflect(x, least, most);
  }
  AxisReads reads;
  const double floor = std::floor(x), part = x - floor;
  if (s.taps == 1) {
    reads.weights = {1};
  } else if (s.taps == 2) {
    reads.weights = {1 - part, part};
  } else {
    constexpr double kA = -0.75;
    auto near = [&](double d) { return ((kA + 2) * d - (kA + 3)) * d * d + 1; };
    auto far = [&](double d) { return ((kA * d - 5 * kA) * d + 8 * kA) * d - 4 * kA; };
    reads.weights = {far(part + 1), near(part), near(1 - part), far(2 - part)};
  }
  const double first = s.taps == 1 ? x : s.taps == 2 ? floor : floor - 1;
  for (int k = 0; k < s.taps; ++k) {
    const auto i = static_cast<std::size_t>(k);
    const double at = first + k;
    reads.places[i] = place_in(s, at, size, least, most);
    const bool inside = at >= 0 && at <= length - 1;
    if (s.padding == Padding::kZeros && !inside) reads.weights[i] = 0;
  }
  return reads;
}

template <class T>
T read_at(const T* x, const Space& in, const std::array<AxisReads, 3>& axes) {
  double sum = 0;
  for (std::size_t a = 0; a < 4; ++a) {
    if (axes[0].weights[a] == 0) continue;
    for (std::size_t b = 0; b < 4; ++b) {
      if (axes[1].weights[b] == 0) continue;
      const T* row = x + (axes[0].places[a] * in[1] + axes[1].places[b]) * in[2];
      const double weight = axes[0].weights[a] * axes[1].weights[b];
      for (std::size_t c = 0; c < 4; ++c) {
        if (axes[2].weights[c] != 0)
          sum += weight * axes[2].weights[c] * static_cast<double>(row[axes[2].places[c]]);
      }
    }
  }
  return static_cast<T>(sum);
}

template <class T>
Status sample_grid(Call& call, const Sampling& s) {
  const Value &x = *call.inputs[0], &grid = *call.inputs[1];
  const std::int64_t channels = x.dims[1];
  const std::int64_t points = product_of(grid.dims, 1, grid.dims.size() - 1);
  over_each(call.machine, x.dims[0] * points, channels * 32, [&](std::int64_t p) {
    std::array<AxisReads, 3> axes;
    for (std::size_t d = 0; d < 3 - s.rank; ++d) axes[d].weights[0] = 1;
    for (std::size_t i = 0; i < s.rank; ++i) {  // the grid says x first
      const std::int64_t at =
          p * static_cast<std::int64_t>(s.rank) + static_cast<std::int64_t>(s.rank - 1 - i);
      const std::size_t d = 3 - s.rank + i;
      axes[d] = reads_of(s, static_cast<double>(data_of<T>(grid)[at]), s.in[d]);
    }
    const std::int64_t n = p / points;
    for (std::int64_t c = n * channels; c < (n + 1) * channels; ++c) {
      data_of<T>(*call.outputs[0])[c * points + p % points] =
          read_at(data_of<T>(x) + c * volume(s.in), s.in, axes);
    }
  });
  return ok();
}

Status run_grid_sample(Call& call) {
  if (call.outputs[0]->count() == 0) return ok();
  THIMBLE_ASSIGN(const Sampling s, sampling_of(call));
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return sample_grid<decltype(zero)>(call, s); });
}

// AffineGrid: (theta [n, rank, rank + 1], size [n, c, spatial...]).

Status shape_affine(const Call& call, std::vector<Dims>& results) {
  const Value& theta = *call.inputs[0];
  THIMBLE_ASSIGN(const Dims size, integers_of(*call.inputs[1]));
  const auto rank = static_cast<std::int64_t>(size.size()) - 2;
  THIMBLE_TRY(demand(is_real(theta.type) && call.outputs[0]->type == theta.type &&
                         (rank == 2 || rank == 3) && theta.dims == Dims{size[0], rank, rank + 1},
                     "AffineGrid's inputs don't fit"));
  results[0] = {size[0]};
  results[0].insert(results[0].end(), size.begin() + 2, size.end());
  results[0].push_back(rank);
  return ok();
}

template <class T>
void fill_grid(const Value& theta, bool align, Value& grid) {
  const std::size_t rank = grid.dims.size() - 2;
  const Dims places(grid.dims.begin(), grid.dims.end() - 1);
  T* to = data_of<T>(grid);
  each_element<0>(places, {}, [&](std::int64_t flat, const std::array<std::int64_t, 0>&) {
    std::array<double, 4> at{};  // x, y, (z), 1
    std::int64_t rest = flat;
    for (std::size_t i = 0; i < rank; ++i) {
      const auto size = static_cast<double>(places[rank - i]);
      const auto index = static_cast<double>(rest % places[rank - i]);
      rest /= places[rank - i];
      at[i] = !align ? (2 * index + 1) / size - 1 : size > 1 ? 2 * index / (size - 1) - 1 : -1;
    }
    at[rank] = 1;
    const T* matrix = data_of<T>(theta) + static_cast<std::size_t>(rest) * rank * (rank + 1);
    for (std::size_t i = 0; i < rank; ++i) {
      double sum = 0;
      for (std::size_t k = 0; k <= rank; ++k)
        sum += static_cast<double>(matrix[i * (rank + 1) + k]) * at[k];
      to[static_cast<std::size_t>(flat) * rank + i] = static_cast<T>(sum);
    }
  });
}

Status run_affine(Call& call) {
  const bool align = call.instruction.integer("align_corners", 0) != 0;
  return with_real(call.inputs[0]->type, [&](auto zero) {
    fill_grid<decltype(zero)>(*call.inputs[0], align, *call.outputs[0]);
    return ok();
  });
}

// RoiAlign: (x [n, c, h, w], regions [r, 4], batch indices [r]).

constexpr std::int64_t kMostSamples = 1 << 12;   // along one axis of a bin
constexpr std::int64_t kMostOfRegion = 1 << 20;  // along one axis of a region

struct Regions {
  std::int64_t height = 1, width = 1, ratio = 0;
  double scale = 1, offset = 0;
  bool most = false;  // mode `max`
};

Expected<Regions> regions_of(const Call& call) {
  const program::Instruction& i = call.instruction;
  Regions r;
  r.height = i.integer("output_height", 1);
  r.width = i.integer("output_width", 1);
  r.ratio = i.integer("sampling_ratio", 0);
  r.scale = i.real("spatial_scale", 1.0f);
  r.most = i.text("mode", "avg") == "max";
  if (i.text("coordinate_transformation_mode", "half_pixel") == "half_pixel") r.offset = 0.5;
  if (r.height < 1 || r.width < 1 || r.height > kMostOfRegion || r.width > kMostOfRegion ||
      r.ratio < 0 || r.ratio > kMostSamples ||
      std::max(r.height, r.width) * r.ratio > kMostOfRegion) {
    return invalid_argument("RoiAlign's attributes are out of range");
  }
  return r;
}

Status shape_regions(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &regions = *call.inputs[1], &batch = *call.inputs[2];
  THIMBLE_TRY(demand(is_real(x.type) && regions.type == x.type && call.outputs[0]->type == x.type &&
                         x.dims.size() == 4 && regions.dims.size() == 2 && regions.dims[1] == 4 &&
                         batch.dims == Dims{regions.dims[0]},
                     "RoiAlign's inputs don't fit"));
  THIMBLE_ASSIGN(const Regions r, regions_of(call));
  THIMBLE_ASSIGN(const Dims indices, integers_of(batch));
  for (const std::int64_t index : indices) {
    if (index < 0 || index >= x.dims[0])
      return invalid_argument("RoiAlign's batch index is out of range");
  }
  if (x.dims[2] == 0 || x.dims[3] == 0) return invalid_argument("RoiAlign has nothing to read");
  results[0] = {regions.dims[0], x.dims[1], r.height, r.width};
  return ok();
}

// Two neighbours on an axis and their weights; nothing beyond a pixel outside.
struct Neighbours {
  std::int64_t low = 0, high = 0;
  double of_low = 1, of_high = 0;
  bool inside = false;
};
Neighbours neighbours_of(double at, std::int64_t size) {
  Neighbours n;
  n.inside = at >= -1 && at <= static_cast<double>(size);
  if (!n.inside) return n;
  at = std::max(at, 0.0);
  n.low = std::min(whole(at), size - 1);
  n.high = std::min(n.low + 1, size - 1);
  n.of_high = n.high > n.low ? at - static_cast<double>(n.low) : 0;
  n.of_low = 1 - n.of_high;
  return n;
}

// One axis of a region: what its bins' samples see of an axis of the image.
struct Samples {
  std::int64_t count = 0;  // a bin
  std::vector<Neighbours> seen;
  std::span<const Neighbours> of(std::int64_t bin) const {
    return std::span(seen).subspan(static_cast<std::size_t>(bin * count),
                                   static_cast<std::size_t>(count));
  }
};
Samples samples_of(const Regions& r, double begin, double end, std::int64_t bins,
                   std::int64_t axis) {
  const double start = begin * r.scale - r.offset;
  double size = end * r.scale - r.offset - start;
  if (r.offset == 0) size = std::max(size, 1.0);
  const double bin = size / static_cast<double>(bins);
  Samples s{r.ratio, {}};
  if (s.count == 0) {
    const std::int64_t most = std::min(kMostSamples, kMostOfRegion / bins);
    s.count = std::clamp<std::int64_t>(whole(std::ceil(bin)), 0, most);
  }
  for (std::int64_t i = 0; i < bins * s.count; ++i) {
    const auto place = static_cast<double>(i / s.count), sample = static_cast<double>(i % s.count);
    const double at = start + place * bin + (sample + 0.5) * bin / static_cast<double>(s.count);
    s.seen.push_back(neighbours_of(at, axis));
  }
  return s;
}

template <class T>
T pool_bin(const T* x, std::int64_t width, bool of_most, std::span<const Neighbours> rows,
           std::span<const Neighbours> columns) {
  double sum = 0, most = 0;
  bool first = true;
  for (const Neighbours& y : rows) {
    const T *low = x + y.low * width, *high = x + y.high * width;
    for (const Neighbours& z : columns) {
      std::array<double, 4> parts{};
      if (y.inside && z.inside) {
        parts = {y.of_low * z.of_low * low[z.low], y.of_low * z.of_high * low[z.high],
                 y.of_high * z.of_low * high[z.low], y.of_high * z.of_high * high[z.high]};
      }
      sum += parts[0] + parts[1] + parts[2] + parts[3];
      if (!of_most) continue;
      const double largest = *std::max_element(parts.begin(), parts.end());
      most = first ? largest : std::max(most, largest);
      first = false;
    }
  }
  const auto count = static_cast<double>(std::max<std::size_t>(rows.size() * columns.size(), 1));
  return static_cast<T>(of_most ? most : sum / count);
}

template <class T>
Status align_regions(Call& call, const Regions& r) {
  const Value& x = *call.inputs[0];
  const T* regions = data_of<T>(*call.inputs[1]);
  THIMBLE_ASSIGN(const Dims indices, integers_of(*call.inputs[2]));
  constexpr std::int64_t kTogether = 32;  // channels, for which samples are found once
  const std::int64_t channels = x.dims[1], plane = x.dims[2] * x.dims[3];
  const std::int64_t bins = r.height * r.width, parts = ceil_div(channels, kTogether);
  const std::int64_t cost = std::min(kTogether, channels) * bins * 64;
  over_each(call.machine, call.inputs[1]->dims[0] * parts, cost, [&](std::int64_t unit) {
    const std::int64_t region = unit / parts, first = unit % parts * kTogether;
    const T* sides = regions + region * 4;
    const std::int64_t n = indices[static_cast<std::size_t>(region)];
    const Samples columns = samples_of(r, sides[0], sides[2], r.width, x.dims[3]);
    const Samples rows = samples_of(r, sides[1], sides[3], r.height, x.dims[2]);
    for (std::int64_t c = first; c < std::min(first + kTogether, channels); ++c) {
      const T* from = data_of<T>(x) + (n * channels + c) * plane;
      T* to = data_of<T>(*call.outputs[0]) + (region * channels + c) * bins;
      for (std::int64_t i = 0; i < r.height; ++i) {
        for (std::int64_t j = 0; j < r.width; ++j)
          *to++ = pool_bin(from, x.dims[3], r.most, rows.of(i), columns.of(j));
      }
    }
  });
  return ok();
}

Status run_regions(Call& call) {
  THIMBLE_ASSIGN(const Regions r, regions_of(call));
  return with_real(call.inputs[0]->type,
                   [&](auto zero) { return align_regions<decltype(zero)>(call, r); });
}

}  // namespace

std::span<const Operator> sampling_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kGridSample, run_grid_sample, nullptr, shape_grid_sample},
      {Op::kAffineGrid, run_affine, nullptr, shape_affine},
      {Op::kRoiAlign, run_regions, nullptr, shape_regions},
  };
  return kOperators;
}

}  // namespace thimble::runtime
