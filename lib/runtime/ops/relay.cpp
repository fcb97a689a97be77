// The same elements under other dims, parts of them, or repeated: where sizes, axes and bounds are
// inputs that are read as the model runs.

#include <algorithm>
#include <cstring>

#include "runtime/ops/selection.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Op;

// Normal axes, each once.
Expected<std::vector<std::size_t>> axes_of(std::span<const std::int64_t> axes, std::size_t rank) {
  std::vector<std::size_t> out;
  for (const std::int64_t axis : axes) {
    THIMBLE_ASSIGN(const std::size_t at, axis_at(axis, rank));
    if (std::find(out.begin(), out.end(), at) != out.end())
      return invalid_argument("axis " + std::to_string(axis) + " is named twice");
    out.push_back(at);
  }
  return out;
}

Status run_copy(Call& call) {
  const std::size_t bytes = byte_count(*call.outputs[0]);
  if (bytes > 0) std::memcpy(call.outputs[0]->data, call.inputs[0]->data, bytes);
  return ok();
}

Status shape_identity(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  return shape_same(call, results);
}

// A size of -1 takes what is left; one of 0 is the input's unless `allowzero`.
Status shape_reshape(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  const Dims& from = call.inputs[0]->dims;
  THIMBLE_ASSIGN(Dims dims, integers_of(*call.inputs[1]));
  const bool allow_zero = call.instruction.integer("allowzero", 0) != 0;
  std::int64_t open = -1, known = 1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) {
      if (i >= from.size()) return invalid_argument("a size of 0 has no size to copy");
      dims[i] = from[i];
    }
    if (dims[i] == -1) {
      if (open >= 0) return invalid_argument("only one size may be -1");
      open = static_cast<std::int64_t>(i);
      continue;
    }
    const auto product = checked_mul(known, dims[i]);
    if (dims[i] < 0 || !product) return invalid_argument("a size to reshape to is out of range");
    known = *product;
  }
  const std::int64_t count = count_of(from);
  if (open >= 0) {
    if (known == 0 || count % known != 0)
      return invalid_argument(std::to_string(count) + " elements do not divide by " +
                              std::to_string(known));
    dims[static_cast<std::size_t>(open)] = count / known;
  } else if (known != count) {
    return invalid_argument(std::to_string(count) + " elements cannot be reshaped to " +
                            std::to_string(known));
  }
  results[0] = std::move(dims);
  return ok();
}

Status shape_unsqueeze(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  const Dims& from = call.inputs[0]->dims;
  THIMBLE_ASSIGN(const Dims given, integers_of(*call.inputs[1]));
  const std::size_t rank = from.size() + given.size();
  THIMBLE_ASSIGN(const std::vector<std::size_t> axes, axes_of(given, rank));
  auto next = from.begin();
  for (std::size_t d = 0; d < rank; ++d) {
    const bool is_new = std::find(axes.begin(), axes.end(), d) != axes.end();
    results[0].push_back(is_new ? 1 : *next++);
  }
  return ok();
}

Status shape_squeeze(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  const Dims& from = call.inputs[0]->dims;
  std::vector<std::size_t> axes;
  if (const Value* given = input_at(call, 1)) {
    THIMBLE_ASSIGN(const Dims numbers, integers_of(*given));
    THIMBLE_ASSIGN(axes, axes_of(numbers, from.size()));
  } else {
    for (std::size_t d = 0; d < from.size(); ++d) {
      if (from[d] == 1) axes.push_back(d);
    }
  }
  for (std::size_t d = 0; d < from.size(); ++d) {
    if (std::find(axes.begin(), axes.end(), d) == axes.end()) {
      results[0].push_back(from[d]);
    } else if (from[d] != 1) {
      return invalid_argument("cannot squeeze a size of " + std::to_string(from[d]));
    }
  }
  return ok();
}

Status shape_flatten(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  const Dims& from = call.inputs[0]->dims;
  const auto rank = static_cast<std::int64_t>(from.size());
  std::int64_t axis = call.instruction.integer("axis", 1);
  if (axis < -rank || axis > rank)
    return invalid_argument("axis " + std::to_string(axis) + " is outside of the tensor");
  if (axis < 0) axis += rank;
  const auto at = static_cast<std::size_t>(axis);
  results[0] = {product_of(from, 0, at), product_of(from, at, from.size())};
  return ok();
}

Status shape_expand(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_ASSIGN(const Dims wanted, integers_of(*call.inputs[1]));
  THIMBLE_ASSIGN(results[0], broadcast_dims(call.inputs[0]->dims, wanted));
  return ok();
}

Status run_expand(Call& call) {
  const Value& x = *call.inputs[0];
  copy_strided(call.machine, x, broadcast_strides(x.dims, call.outputs[0]->dims), 0,
               *call.outputs[0]);
  return ok();
}

struct Cut {
  std::size_t axis;
  std::int64_t start, step, length;
};

// Where a slice of an axis begins and how many elements it takes.
Expected<Cut> cut_of(std::size_t axis, std::int64_t start, std::int64_t end, std::int64_t step,
                     std::int64_t dim) {
  constexpr std::int64_t kMost = std::int64_t{1} << 62;
  if (step == 0) return invalid_argument("a slice has a step of 0");
  step = std::clamp(step, -kMost, kMost);
  const std::int64_t from = slice_start(start, step, dim);
  std::int64_t to = end < 0 ? (end < -dim ? -1 : end + dim) : end;
  to = step > 0 ? std::clamp<std::int64_t>(to, 0, dim) : std::min(to, dim - 1);
  const std::int64_t span = step > 0 ? to - from : from - to;
  const std::int64_t stride = step > 0 ? step : -step;
  return Cut{axis, from, step, span > 0 ? (span - 1) / stride + 1 : 0};
}

Expected<std::vector<Cut>> cuts_of(const Call& call) {
  const Dims& dims = call.inputs[0]->dims;
  THIMBLE_ASSIGN(const Dims starts, integers_of(*call.inputs[1]));
  THIMBLE_ASSIGN(const Dims ends, integers_of(*call.inputs[2]));
  Dims given, steps(starts.size(), 1);
  for (std::size_t i = 0; i < starts.size(); ++i) given.push_back(static_cast<std::int64_t>(i));
  if (const Value* axes = input_at(call, 3)) {
    THIMBLE_ASSIGN(given, integers_of(*axes));
  }
  if (const Value* value = input_at(call, 4)) {
    THIMBLE_ASSIGN(steps, integers_of(*value));
  }
  if (ends.size() != starts.size() || given.size() != starts.size() ||
      steps.size() != starts.size())
    return invalid_argument("starts, ends, axes and steps of a slice differ in length");
  THIMBLE_ASSIGN(const std::vector<std::size_t> axes, axes_of(given, dims.size()));
  std::vector<Cut> cuts;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    THIMBLE_ASSIGN(const Cut cut, cut_of(axes[i], starts[i], ends[i], steps[i], dims[axes[i]]));
    cuts.push_back(cut);
  }
  return cuts;
}

Status shape_slice(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_ASSIGN(const std::vector<Cut> cuts, cuts_of(call));
  results[0] = call.inputs[0]->dims;
  for (const Cut& cut : cuts) results[0][cut.axis] = cut.length;
  return ok();
}

Status run_slice(Call& call) {
  if (call.outputs[0]->count() == 0) return ok();
  THIMBLE_ASSIGN(const std::vector<Cut> cuts, cuts_of(call));
  const Value& x = *call.inputs[0];
  Dims strides = strides_of(x.dims);
  std::int64_t start = 0;
  for (const Cut& cut : cuts) {
    start += cut.start * strides[cut.axis];
    // One element is taken where it lies, however large the step.
    strides[cut.axis] *= cut.length > 1 ? cut.step : 1;
  }
  copy_strided(call.machine, x, strides, start, *call.outputs[0]);
  return ok();
}

Expected<Dims> part_sizes(const Call& call, std::int64_t whole) {
  const auto parts = static_cast<std::int64_t>(call.outputs.size());
  if (const Value* given = input_at(call, 1)) {
    THIMBLE_ASSIGN(Dims sizes, integers_of(*given));
    std::int64_t rest = whole;
    for (const std::int64_t size : sizes) {
      if (size < 0 || size > rest) return invalid_argument("a split's sizes don't fit");
      rest -= size;
    }
    THIMBLE_TRY(demand(rest == 0 && static_cast<std::int64_t>(sizes.size()) == parts,
                       "a split's sizes don't fit"));
    return sizes;
  }
  const std::int64_t size = ceil_div(whole, parts);
  Dims sizes;
  for (std::int64_t i = 0, rest = whole; i < parts; ++i) {
    sizes.push_back(std::min(size, rest));
    rest -= sizes.back();
  }
  return sizes;
}

Status shape_split(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  THIMBLE_ASSIGN(const Dims sizes, part_sizes(call, x.dims[axis]));
  for (std::size_t i = 0; i < results.size(); ++i) {
    THIMBLE_TRY(demand(call.outputs[i] == nullptr || call.outputs[i]->type == x.type,
                       "a split's part has another type"));
    results[i] = x.dims;
    results[i][axis] = sizes[i];
  }
  return ok();
}

Status run_split(Call& call) {
  const Value& x = *call.inputs[0];
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  THIMBLE_ASSIGN(const Dims sizes, part_sizes(call, x.dims[axis]));
  const std::int64_t outer = product_of(x.dims, 0, axis);
  const auto row =
      static_cast<std::size_t>(product_of(x.dims, axis + 1, x.dims.size())) * element_bytes(x);
  std::int64_t start = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t bytes = static_cast<std::size_t>(sizes[i]) * row;
    for (std::int64_t o = 0; o < outer && call.outputs[i] != nullptr && bytes > 0; ++o) {
      std::memcpy(bytes_of(*call.outputs[i]) + static_cast<std::size_t>(o) * bytes,
                  bytes_of(x) + static_cast<std::size_t>(o * x.dims[axis] + start) * row, bytes);
    }
    start += sizes[i];
  }
  return ok();
}

Status shape_tile(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  const Dims& from = call.inputs[0]->dims;
  THIMBLE_ASSIGN(const Dims repeats, integers_of(*call.inputs[1]));
  THIMBLE_TRY(demand(repeats.size() == from.size(), "Tile needs one number of repeats an axis"));
  for (std::size_t d = 0; d < from.size(); ++d) {
    const auto size = checked_mul(from[d], repeats[d]);
    if (repeats[d] < 0 || !size) return invalid_argument("Tile's repeats are out of range");
    results[0].push_back(*size);
  }
  return ok();
}

// Seen as [repeats, size] along every axis, the repeats are broadcast.
Status run_tile(Call& call) {
  const Value& x = *call.inputs[0];
  const Dims own = strides_of(x.dims);
  Value paired = *call.outputs[0];
  Dims strides;
  paired.dims.clear();
  for (std::size_t d = 0; d < x.dims.size(); ++d) {
    const std::int64_t size = x.dims[d];
    paired.dims.insert(paired.dims.end(), {size > 0 ? call.outputs[0]->dims[d] / size : 0, size});
    strides.insert(strides.end(), {0, own[d]});
  }
  copy_strided(call.machine, x, strides, 0, paired);
  return ok();
}

// One number other than zero?
bool is_on(const Value* value) {
  if (value == nullptr || value->count() != 1) return false;
  const std::byte* at = bytes_of(*value);
  return std::any_of(at, at + element_bytes(*value), [](std::byte b) { return b != std::byte{0}; });
}

Status shape_dropout(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  const Value *ratio = input_at(call, 1), *mask = output_at(call, 1);
  THIMBLE_TRY(
      demand(mask == nullptr || mask->type == program::Type::kBool, "Dropout's mask is of bools"));
  if (is_on(input_at(call, 2)) && (ratio == nullptr || is_on(ratio)))
    return unsupported("dropout in training mode is not supported");
  results.assign(results.size(), call.inputs[0]->dims);
  return ok();
}

Status run_dropout(Call& call) {
  if (Value* mask = output_at(call, 1); mask != nullptr && mask->count() > 0)
    std::memset(mask->data, 1, byte_count(*mask));
  return run_copy(call);
}

}  // namespace

std::span<const Operator> relaying_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kReshapeTo, run_copy, nullptr, shape_reshape},
      {Op::kUnsqueeze, run_copy, nullptr, shape_unsqueeze},
      {Op::kSqueeze, run_copy, nullptr, shape_squeeze},
      {Op::kFlatten, run_copy, nullptr, shape_flatten},
      {Op::kIdentity, run_copy, nullptr, shape_identity},
      {Op::kExpandTo, run_expand, nullptr, shape_expand},
      {Op::kSliceBy, run_slice, nullptr, shape_slice},
      {Op::kSplit, run_split, nullptr, shape_split},
      {Op::kTile, run_tile, nullptr, shape_tile},
      {Op::kDropout, run_dropout, nullptr, shape_dropout},
  };
  return kOperators;
}

}  // namespace thimble::runtime
