// Elements moved about: blocks of depth and space, padding, centred crops.

#include <algorithm>
#include <cstring>

#include "runtime/ops/images.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

std::int64_t block_of(const Call& call) { return call.instruction.integer("blocksize", 0); }

Status shape_blocks(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  const std::int64_t block = block_of(call);
  const std::string_view mode = call.instruction.text("mode", "DCR");
  THIMBLE_TRY(demand(x.dims.size() == 4 && call.outputs[0]->type == x.type,
                     "the operator takes images of two spatial axes"));
  THIMBLE_TRY(demand(block > 0 && block < 1 << 15, "blocksize is out of range"));
  THIMBLE_TRY(demand(mode == "DCR" || mode == "CRD", "mode is neither DCR nor CRD"));
  if (call.instruction.op == Op::kDepthToSpace) {
    THIMBLE_TRY(demand(x.dims[1] % (block * block) == 0, "blocksize doesn't divide the channels"));
    results[0] = {x.dims[0], x.dims[1] / (block * block), x.dims[2] * block, x.dims[3] * block};
  } else {
    THIMBLE_TRY(demand(x.dims[2] % block == 0 && x.dims[3] % block == 0,
                       "blocksize doesn't divide the image"));
    results[0] = {x.dims[0], x.dims[1] * block * block, x.dims[2] / block, x.dims[3] / block};
  }
  return ok();
}

// The spaced image [n, c, h * block, w * block] seen element by element, in order, beside the place
// of each in the deep one [n, c * block^2, h, w].
template <class F>
void each_block_element(const Dims& spaced, std::int64_t block, bool columns, F f) {
  const std::int64_t channels = spaced[1], h = spaced[2] / block, w = spaced[3] / block;
  std::int64_t at = 0;
  for (std::int64_t n = 0; n < spaced[0]; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t i = 0; i < spaced[2]; ++i) {
        for (std::int64_t j = 0; j < spaced[3]; ++j, ++at) {
          const std::int64_t part = i % block * block + j % block;
          const std::int64_t depth = columns ? c * block * block + part : part * channels + c;
          f(at, ((n * channels * block * block + depth) * h + i / block) * w + j / block);
        }
      }
    }
  }
}

Status run_blocks(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const auto size = static_cast<std::size_t>(program::type_bytes(x.type));
  const bool deepen = call.instruction.op == Op::kSpaceToDepth;
  const bool columns = call.instruction.text("mode", "DCR") == "CRD";
  const auto* from = static_cast<const std::byte*>(x.data);
  auto* to = static_cast<std::byte*>(y.data);
  each_block_element(deepen ? x.dims : y.dims, block_of(call), columns,
                     [&](std::int64_t spaced, std::int64_t deep) {
                       const auto in = static_cast<std::size_t>(deepen ? spaced : deep);
                       const auto out = static_cast<std::size_t>(deepen ? deep : spaced);
                       std::memcpy(to + out * size, from + in * size, size);
                     });
  return ok();
}

// How many elements are added in front of and behind every axis; fewer than none: cut off.
struct Pads {
  Dims begin, end;
};

Expected<Pads> pads_of(const Call& call) {
  const std::size_t rank = call.inputs[0]->dims.size();
  THIMBLE_ASSIGN(const Dims pads, integers_of(*call.inputs[1]));
  std::vector<std::size_t> axes(rank);
  for (std::size_t i = 0; i < rank; ++i) axes[i] = i;
  if (const Value* given = input_at(call, 3)) {
    THIMBLE_ASSIGN(const Dims numbers, integers_of(*given));
    axes.clear();
    for (const std::int64_t number : numbers) {
      THIMBLE_ASSIGN(const std::size_t axis, axis_at(number, rank));
      axes.push_back(axis);
    }
  }
  if (pads.size() != 2 * axes.size())
    return invalid_argument("pads doesn't have two numbers an axis");
  Pads out{Dims(rank, 0), Dims(rank, 0)};
  for (std::size_t i = 0; i < pads.size(); ++i) {
    if (pads[i] < -(std::int64_t{1} << 40) || pads[i] > std::int64_t{1} << 40)
      return invalid_argument("pads is out of range");
    (i < axes.size() ? out.begin : out.end)[axes[i % axes.size()]] = pads[i];
  }
  return out;
}

Status shape_pad(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  const std::string_view mode = call.instruction.text("mode", "constant");
  const bool constant = mode == "constant", reflect = mode == "reflect";
  THIMBLE_TRY(
      demand(constant || reflect || mode == "edge" || mode == "wrap", "Pad's mode is unknown"));
  const Value* value = input_at(call, 2);
  THIMBLE_TRY(demand(call.outputs[0]->type == x.type &&
                         (value == nullptr || (value->type == x.type && value->count() == 1)),
                     "Pad's types don't fit"));
  THIMBLE_ASSIGN(const Pads pads, pads_of(call));
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    const std::int64_t size = x.dims[d] + pads.begin[d] + pads.end[d];
    if (size < 0) return invalid_argument("Pad cuts off more than there is");
    if (!constant && size > 0 && x.dims[d] == 0)
      return invalid_argument("Pad has nothing to repeat");
    results[0].push_back(size);
  }
  return ok();
}

// The place on an axis of `size` that stands at `at`, which may lie outside; -1: nothing does.
std::int64_t source_of(std::int64_t at, std::int64_t size, std::string_view mode) {
  if (at >= 0 && at < size) return at;
  if (mode == "constant") return -1;
  if (mode == "edge") return std::clamp<std::int64_t>(at, 0, size - 1);
  const std::int64_t period = mode == "wrap" ? size : std::max<std::int64_t>(2 * size - 2, 1);
  const std::int64_t rest = (at % period + period) % period;
  return rest < size ? rest : period - rest;
}

std::size_t scratch_pad(const Call& call) {
  std::size_t places = 0;
  for (const std::int64_t dim : call.outputs[0]->dims) places += static_cast<std::size_t>(dim);
  return places * sizeof(std::int64_t);
}

// Every axis's places are worked out once: offsets in x, or -1.
Status run_pad(Call& call) {
  THIMBLE_ASSIGN(const Pads pads, pads_of(call));
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const std::string_view mode = call.instruction.text("mode", "constant");
  const Dims strides = strides_of(x.dims);
  const std::size_t rank = x.dims.size();
  const auto size = static_cast<std::size_t>(program::type_bytes(x.type));
  std::array<std::byte, 8> fill{};
  if (const Value* value = input_at(call, 2)) std::memcpy(fill.data(), value->data, size);
  auto* places = reinterpret_cast<std::int64_t*>(call.scratch.data());
  std::vector<const std::int64_t*> axis_places;
  for (std::size_t d = 0; d < rank; ++d) {
    axis_places.push_back(places);
    for (std::int64_t i = 0; i < y.dims[d]; ++i) {
      const std::int64_t from = source_of(i - pads.begin[d], x.dims[d], mode);
      *places++ = from < 0 ? -1 : from * strides[d];
    }
  }
  const std::int64_t count = y.count(), width = rank > 0 ? y.dims[rank - 1] : 1;
  const auto* from = static_cast<const std::byte*>(x.data);
  if (width == 0) return ok();
  // Places of a row that lie in x as they do here, whatever the mode: most of them.
  const std::int64_t before = rank > 0 ? pads.begin[rank - 1] : 0;
  const std::int64_t first = std::clamp<std::int64_t>(before, 0, width);
  const std::int64_t last = rank > 0 ? std::clamp(before + x.dims[rank - 1], first, width) : width;
  over_each(call.machine, count / width, width, [&](std::int64_t row) {
    std::int64_t rest = row, base = 0;
    bool inside = true;
    for (std::size_t d = rank; d-- > 1;) {
      const std::int64_t place = axis_places[d - 1][rest % y.dims[d - 1]];
      rest /= y.dims[d - 1];
      inside = inside && place >= 0;
      base += place;
    }
    auto* to = static_cast<std::byte*>(y.data) + static_cast<std::size_t>(row * width) * size;
    const auto put = [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t place = rank > 0 ? axis_places[rank - 1][i] : 0;
        const bool there = inside && place >= 0;
        std::memcpy(to + static_cast<std::size_t>(i) * size,
                    there ? from + static_cast<std::size_t>(base + place) * size : fill.data(),
                    size);
      }
    };
    if (!inside || first == last) return put(0, width);
    put(0, first);
    std::memcpy(to + static_cast<std::size_t>(first) * size,
                from + static_cast<std::size_t>(base + first - before) * size,
                static_cast<std::size_t>(last - first) * size);
    put(last, width);
  });
  return ok();
}

// CenterCropPad: where x begins in y on every axis (negative: it is cut).
Status shape_center(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(demand(call.outputs[0]->type == x.type, "CenterCropPad's types don't fit"));
  THIMBLE_ASSIGN(const Dims sizes, integers_of(*call.inputs[1]));
  const program::Attribute* axes = call.instruction.find("axes");
  const std::size_t count = axes != nullptr ? axes->ints.size() : x.dims.size();
  THIMBLE_TRY(demand(sizes.size() == count, "CenterCropPad's shape doesn't fit its axes"));
  results[0] = x.dims;
  for (std::size_t i = 0; i < count; ++i) {
    THIMBLE_ASSIGN(
        const std::size_t axis,
        axis_at(axes != nullptr ? axes->ints[i] : static_cast<std::int64_t>(i), x.dims.size()));
    results[0][axis] = sizes[i];
  }
  return ok();
}

Status run_center(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const auto size = static_cast<std::size_t>(program::type_bytes(x.type));
  const Dims x_strides = strides_of(x.dims), y_strides = strides_of(y.dims);
  Dims common;
  std::int64_t x_at = 0, y_at = 0;
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    common.push_back(std::min(x.dims[d], y.dims[d]));
    if (x.dims[d] > y.dims[d]) x_at += (x.dims[d] - y.dims[d]) / 2 * x_strides[d];
    if (y.dims[d] > x.dims[d]) y_at += (y.dims[d] - x.dims[d]) / 2 * y_strides[d];
  }
  std::memset(y.data, 0, static_cast<std::size_t>(y.count()) * size);
  each_element<2>(
      common, {x_strides, y_strides}, [&](std::int64_t, const std::array<std::int64_t, 2>& at) {
        std::memcpy(
            static_cast<std::byte*>(y.data) + static_cast<std::size_t>(y_at + at[1]) * size,
            static_cast<const std::byte*>(x.data) + static_cast<std::size_t>(x_at + at[0]) * size,
            size);
      });
  return ok();
}

}  // namespace

std::span<const Operator> rearranging_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kDepthToSpace, run_blocks, nullptr, shape_blocks},
      {Op::kSpaceToDepth, run_blocks, nullptr, shape_blocks},
      {Op::kPad, run_pad, scratch_pad, shape_pad},
      {Op::kCenterCropPad, run_center, nullptr, shape_center},
  };
  return kOperators;
}

}  // namespace thimble::runtime
