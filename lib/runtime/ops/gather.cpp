// Elements picked out by indices, by a condition, or turned around.

#include <algorithm>
#include <cstring>

#include "runtime/ops/selection.h"
#include "support/half.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

Status shape_gather_elements(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1];
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_TRY(demand(is_index(indices.type), "GatherElements takes i64 or i32 indices"));
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  bool right = indices.dims.size() == x.dims.size();
  for (std::size_t d = 0; right && d < x.dims.size(); ++d)
    right = d == axis || indices.dims[d] <= x.dims[d];
  THIMBLE_TRY(demand(right, "GatherElements' indices don't fit"));
  results[0] = indices.dims;
  return ok();
}

Status run_gather_elements(Call& call) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1];
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  const Dims strides = strides_of(x.dims);
  Dims beside = strides;
  beside[axis] = 0;
  const std::size_t size = element_bytes(x);
  Status status = ok();
  each_element<1>(
      indices.dims, {beside}, [&](std::int64_t flat, const std::array<std::int64_t, 1>& at) {
        const auto row = index_within(indices, flat, x.dims[axis]);
        if (!row) {
          status = row.error();
          return;
        }
        std::memcpy(bytes_of(*call.outputs[0]) + static_cast<std::size_t>(flat) * size,
                    bytes_of(x) + static_cast<std::size_t>(at[0] + *row * strides[axis]) * size,
                    size);
      });
  return status;
}

// GatherND: the last axis of the indices holds tuples of `width` numbers, which say a place in x
// behind its batch axes.
struct Tuples {
  std::size_t batch_axes = 0, width = 0;
};

Expected<Tuples> tuples_of(const Call& call) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1];
  const std::int64_t batch = call.instruction.integer("batch_dims", 0);
  const std::size_t rank = x.dims.size(), index_rank = indices.dims.size();
  if (indices.type != Type::kI64 || index_rank < 1 || batch < 0 ||
      batch >= static_cast<std::int64_t>(std::min(rank, index_rank)) || indices.dims.back() < 1 ||
      indices.dims.back() > static_cast<std::int64_t>(rank) - batch) {
    return invalid_argument("GatherND's indices don't fit");
  }
  const Tuples out{static_cast<std::size_t>(batch), static_cast<std::size_t>(indices.dims.back())};
  for (std::size_t d = 0; d < out.batch_axes; ++d)
    THIMBLE_TRY(demand(x.dims[d] == indices.dims[d], "GatherND's batches don't fit"));
  return out;
}

Status shape_gather_nd(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_ASSIGN(const Tuples tuples, tuples_of(call));
  const Dims &x = call.inputs[0]->dims, &indices = call.inputs[1]->dims;
  results[0].assign(indices.begin(), indices.end() - 1);
  const std::size_t kept = tuples.batch_axes + tuples.width;
  results[0].insert(results[0].end(), x.begin() + static_cast<std::ptrdiff_t>(kept), x.end());
  return ok();
}

Status run_gather_nd(Call& call) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1];
  THIMBLE_ASSIGN(const Tuples tuples, tuples_of(call));
  const Dims strides = strides_of(x.dims);
  const auto width = static_cast<std::int64_t>(tuples.width);
  const std::int64_t batches = product_of(x.dims, 0, tuples.batch_axes);
  const std::int64_t rest = product_of(x.dims, tuples.batch_axes, x.dims.size());
  const std::int64_t count = indices.count() / width;
  const std::int64_t piece = product_of(x.dims, tuples.batch_axes + tuples.width, x.dims.size());
  const std::size_t bytes = static_cast<std::size_t>(piece) * element_bytes(x);
  if (bytes == 0) return ok();
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t from = i / (count / batches) * rest;
    for (std::size_t k = 0; k < tuples.width; ++k) {
      const std::size_t d = tuples.batch_axes + k;
      THIMBLE_ASSIGN(const std::int64_t at,
                     index_within(indices, i * width + static_cast<std::int64_t>(k), x.dims[d]));
      from += at * strides[d];
    }
    std::memcpy(bytes_of(*call.outputs[0]) + static_cast<std::size_t>(i) * bytes,
                bytes_of(x) + static_cast<std::size_t>(from) * element_bytes(x), bytes);
  }
  return ok();
}

// Compress: the slices along `axis` (of the elements, without one) whose condition holds.
Status shape_compress(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &condition = *call.inputs[1];
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_TRY(demand(condition.type == Type::kBool && condition.dims.size() == 1,
                     "Compress takes a list of bools"));
  results[0] = {x.count()};
  std::size_t axis = 0;
  if (call.instruction.find("axis") != nullptr) {
    THIMBLE_ASSIGN(axis, axis_at(call.instruction.integer("axis", 0), x.dims.size()));
    results[0] = x.dims;
  }
  THIMBLE_TRY(demand(condition.dims[0] <= results[0][axis], "Compress' condition is too long"));
  call.found.clear();
  for (std::int64_t i = 0; i < condition.dims[0]; ++i) {
    if (data_of<std::uint8_t>(condition)[i] != 0) call.found.push_back(i);
  }
  results[0][axis] = static_cast<std::int64_t>(call.found.size());
  return ok();
}

Status run_compress(Call& call) {
  const Value& x = *call.inputs[0];
  const bool flat = call.instruction.find("axis") == nullptr;
  std::size_t axis = 0;
  if (!flat) {
    THIMBLE_ASSIGN(axis, axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  }
  const Dims dims = flat ? Dims{x.count()} : x.dims;
  const std::size_t row =
      static_cast<std::size_t>(product_of(dims, axis + 1, dims.size())) * element_bytes(x);
  std::byte* to = bytes_of(*call.outputs[0]);
  for (std::int64_t o = 0; o < product_of(dims, 0, axis) && row > 0; ++o) {
    for (const std::int64_t i : call.found) {
      std::memcpy(to, bytes_of(x) + static_cast<std::size_t>(o * dims[axis] + i) * row, row);
      to += row;
    }
  }
  return ok();
}

// Is an element other than zero, whatever the sign of the zero?
bool is_set(const Value& x, std::int64_t i) {
  switch (x.type) {
    case Type::kF32:
      return data_of<float>(x)[i] != 0;
    case Type::kF64:
      return data_of<double>(x)[i] != 0;
    case Type::kF16:
    case Type::kBF16:
      return (data_of<std::uint16_t>(x)[i] & 0x7fff) != 0;
    default: {
      const std::size_t size = element_bytes(x);
      const std::byte* at = bytes_of(x) + static_cast<std::size_t>(i) * size;
      return std::any_of(at, at + size, [](std::byte b) { return b != std::byte{0}; });
    }
  }
}

Status shape_non_zero(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(demand(call.outputs[0]->type == Type::kI64, "NonZero gives i64"));
  call.found.clear();
  for (std::int64_t i = 0; i < x.count(); ++i) {
    if (is_set(x, i)) call.found.push_back(i);
  }
  results[0] = {static_cast<std::int64_t>(x.dims.size()),
                static_cast<std::int64_t>(call.found.size())};
  return ok();
}

Status run_non_zero(Call& call) {
  const Dims& dims = call.inputs[0]->dims;
  auto* y = data_of<std::int64_t>(*call.outputs[0]);
  const std::size_t count = call.found.size();
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t rest = call.found[i];
    for (std::size_t d = dims.size(); d-- > 0; rest /= dims[d]) y[d * count + i] = rest % dims[d];
  }
  return ok();
}

// The sequences of a batch, each turned around over its own length.
Status shape_reverse(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &lengths = *call.inputs[1];
  const std::int64_t batch = call.instruction.integer("batch_axis", 1),
                     time = call.instruction.integer("time_axis", 0);
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_TRY(demand(x.dims.size() >= 2 && batch >= 0 && batch < 2 && time == 1 - batch,
                     "ReverseSequence's axes must be the first two"));
  THIMBLE_TRY(demand(
      lengths.type == Type::kI64 && lengths.dims == Dims{x.dims[static_cast<std::size_t>(batch)]},
      "ReverseSequence needs one length a sequence"));
  for (std::int64_t i = 0; i < lengths.count(); ++i) {
    const std::int64_t length = data_of<std::int64_t>(lengths)[i];
    THIMBLE_TRY(demand(length >= 0 && length <= x.dims[static_cast<std::size_t>(time)],
                       "ReverseSequence's length is out of range"));
  }
  return shape_same(call, results);
}

Status run_reverse(Call& call) {
  const Value& x = *call.inputs[0];
  const bool time_first = call.instruction.integer("time_axis", 0) == 0;
  const std::size_t row =
      static_cast<std::size_t>(product_of(x.dims, 2, x.dims.size())) * element_bytes(x);
  const std::int64_t steps = x.dims[time_first ? 0 : 1], batch = x.dims[time_first ? 1 : 0];
  const auto place = [&](std::int64_t b, std::int64_t t) {
    return static_cast<std::size_t>(time_first ? t * batch + b : b * steps + t) * row;
  };
  for (std::int64_t b = 0; b < batch && row > 0; ++b) {
    const std::int64_t length = data_of<std::int64_t>(*call.inputs[1])[b];
    for (std::int64_t t = 0; t < steps; ++t) {
      const std::int64_t from = t < length ? length - 1 - t : t;
      std::memcpy(bytes_of(*call.outputs[0]) + place(b, t), bytes_of(x) + place(b, from), row);
    }
  }
  return ok();
}

// A number of any type, as OneHot's indices and depth are.
Expected<std::int64_t> whole_number(const Value& value, std::int64_t i) {
  if (value.type == Type::kF16) return whole(half_to_float(data_of<std::uint16_t>(value)[i]));
  if (value.type == Type::kBF16) return whole(bfloat_to_float(data_of<std::uint16_t>(value)[i]));
  std::int64_t out = 0;
  THIMBLE_TRY(with_number(value.type, [&](auto zero) {
    using T = decltype(zero);
    const T number = data_of<T>(value)[i];
    if constexpr (std::is_floating_point_v<T>) {
      out = whole(number);
    } else {
      out = static_cast<std::int64_t>(number);
    }
    return ok();
  }));
  return out;
}

Expected<std::size_t> hot_axis(const Call& call) {
  return axis_at(call.instruction.integer("axis", -1), call.inputs[0]->dims.size() + 1);
}

Status shape_one_hot(const Call& call, std::vector<Dims>& results) {
  const Value &depth = *call.inputs[1], &values = *call.inputs[2];
  THIMBLE_TRY(keeps_type(call, 2));
  THIMBLE_TRY(demand(depth.count() == 1 && values.dims == Dims{2},
                     "OneHot takes one depth and two values"));
  THIMBLE_ASSIGN(const std::size_t axis, hot_axis(call));
  THIMBLE_ASSIGN(const std::int64_t size, whole_number(depth, 0));
  results[0] = call.inputs[0]->dims;
  results[0].insert(results[0].begin() + static_cast<std::ptrdiff_t>(axis), size);
  return ok();
}

Status run_one_hot(Call& call) {
  const Value &indices = *call.inputs[0], &values = *call.inputs[2];
  Value& y = *call.outputs[0];
  THIMBLE_ASSIGN(const std::size_t axis, hot_axis(call));
  const std::int64_t depth = y.dims[axis], inner = product_of(y.dims, axis + 1, y.dims.size());
  const std::size_t size = element_bytes(y);
  for (std::int64_t i = 0; i < y.count(); ++i)
    std::memcpy(bytes_of(y) + static_cast<std::size_t>(i) * size, bytes_of(values), size);
  for (std::int64_t i = 0; i < indices.count(); ++i) {
    THIMBLE_ASSIGN(std::int64_t hot, whole_number(indices, i));
    if (hot < 0) hot += depth;
    if (hot < 0 || hot >= depth) continue;
    const std::int64_t at = (i / inner * depth + hot) * inner + i % inner;
    std::memcpy(bytes_of(y) + static_cast<std::size_t>(at) * size, bytes_of(values) + size, size);
  }
  return ok();
}

}  // namespace

std::span<const Operator> gathering_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kGatherElements, run_gather_elements, nullptr, shape_gather_elements},
      {Op::kGatherNd, run_gather_nd, nullptr, shape_gather_nd},
      {Op::kCompress, run_compress, nullptr, shape_compress},
      {Op::kNonZero, run_non_zero, nullptr, shape_non_zero},
      {Op::kReverseSequence, run_reverse, nullptr, shape_reverse},
      {Op::kOneHot, run_one_hot, nullptr, shape_one_hot},
  };
  return kOperators;
}

}  // namespace thimble::runtime
