// Elements and slices written to places that indices say: ScatterElements, ScatterND,
// TensorScatter.

#include <algorithm>
#include <cstring>

#include "runtime/ops/selection.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

enum class Reduction { kNone, kAdd, kMul, kMax, kMin };

Expected<Reduction> reduction_of(const Call& call) {
  const std::string_view name = call.instruction.text("reduction", "none");
  if (name == "none") return Reduction::kNone;
  if (name == "add") return Reduction::kAdd;
  if (name == "mul") return Reduction::kMul;
  if (name == "max") return Reduction::kMax;
  if (name == "min") return Reduction::kMin;
  return invalid_argument("a scatter has no reduction '" + std::string(name) + "'");
}

template <class T>
T reduced(Reduction reduction, T a, T b) {
  switch (reduction) {
    case Reduction::kAdd:
      return static_cast<T>(a + b);
    case Reduction::kMul:
      return static_cast<T>(a * b);
    case Reduction::kMax:
      return std::max(a, b);
    case Reduction::kMin:
      return std::min(a, b);
    default:
      return b;
  }
}
// Unsigned, so that overflow wraps.
template <>
std::int64_t reduced(Reduction reduction, std::int64_t a, std::int64_t b) {
  const auto x = static_cast<std::uint64_t>(a), y = static_cast<std::uint64_t>(b);
  if (reduction == Reduction::kAdd) return static_cast<std::int64_t>(x + y);
  if (reduction == Reduction::kMul) return static_cast<std::int64_t>(x * y);
  if (reduction == Reduction::kNone) return b;
  return reduction == Reduction::kMax ? std::max(a, b) : std::min(a, b);
}
template <>
std::int32_t reduced(Reduction reduction, std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(reduced<std::int64_t>(reduction, a, b));
}
template <>
std::uint16_t reduced(Reduction reduction, std::uint16_t a, std::uint16_t b) {
  return static_cast<std::uint16_t>(reduced<std::uint32_t>(reduction, a, b));
}

// Puts `count` elements of updates from `from` on at `to` of y.
class Writer {
 public:
  static Expected<Writer> of(Call& call, const Value& updates) {
    Writer out(updates, *call.outputs[0]);
    THIMBLE_ASSIGN(out.reduction_, reduction_of(call));
    return out;
  }
  // One element: four bytes in most cases, without a call.
  Status put(std::int64_t from, std::int64_t to) const {
    if (reduction_ != Reduction::kNone || element_bytes(y_) != 4) return write(from, to, 1);
    std::memcpy(bytes_of(y_) + 4 * to, bytes_of(updates_) + 4 * from, 4);
    return ok();
  }
  Status write(std::int64_t from, std::int64_t to, std::int64_t count) const {
    if (reduction_ == Reduction::kNone) {
      const std::size_t size = element_bytes(y_);
      if (count > 0)
        std::memcpy(bytes_of(y_) + static_cast<std::size_t>(to) * size,
                    bytes_of(updates_) + static_cast<std::size_t>(from) * size,
                    static_cast<std::size_t>(count) * size);
      return ok();
    }
    return with_number(y_.type, [&](auto zero) {
      using T = decltype(zero);
      T* y = data_of<T>(y_) + to;
      const T* x = data_of<T>(updates_) + from;
      for (std::int64_t i = 0; i < count; ++i) y[i] = reduced<T>(reduction_, y[i], x[i]);
      return ok();
    });
  }

 private:
  Writer(const Value& updates, Value& y) : updates_(updates), y_(y) {}
  const Value& updates_;
  Value& y_;
  Reduction reduction_ = Reduction::kNone;
};

void copy_whole(const Value& x, Value& y) {
  if (byte_count(y) > 0) std::memcpy(y.data, x.data, byte_count(y));
}

Status shape_scatter_elements(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1], &updates = *call.inputs[2];
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_TRY(reduction_of(call));
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  bool right = is_index(indices.type) && updates.type == x.type && updates.dims == indices.dims &&
               indices.dims.size() == x.dims.size();
  for (std::size_t d = 0; right && d < x.dims.size(); ++d)
    right = d == axis || indices.dims[d] <= x.dims[d];
  THIMBLE_TRY(demand(right, "ScatterElements' inputs don't fit"));
  return shape_same(call, results);
}

Status run_scatter_elements(Call& call) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1];
  copy_whole(x, *call.outputs[0]);
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  THIMBLE_ASSIGN(const Writer writer, Writer::of(call, *call.inputs[2]));
  Dims beside = strides_of(x.dims);
  const std::int64_t step = beside[axis], rows = x.dims[axis];
  beside[axis] = 0;
  Status status = ok();
  each_element<1>(
      indices.dims, {beside}, [&](std::int64_t flat, const std::array<std::int64_t, 1>& at) {
        if (!status) return;
        const std::int64_t given = index_at(indices, flat);
        const std::int64_t row = given < 0 ? given + rows : given;
        status = row >= 0 && row < rows ? writer.put(flat, at[0] + row * step)
                                        : Status(index_within(indices, flat, rows).error());
      });
  return status;
}

Status shape_scatter_nd(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1], &updates = *call.inputs[2];
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_TRY(reduction_of(call));
  THIMBLE_TRY(demand(indices.type == Type::kI64 && updates.type == x.type &&
                         !indices.dims.empty() && indices.dims.back() >= 1 &&
                         indices.dims.back() <= static_cast<std::int64_t>(x.dims.size()),
                     "ScatterND's indices don't fit"));
  Dims wanted(indices.dims.begin(), indices.dims.end() - 1);
  wanted.insert(wanted.end(), x.dims.begin() + indices.dims.back(), x.dims.end());
  THIMBLE_TRY(demand(updates.dims == wanted, "ScatterND's updates don't fit its indices"));
  return shape_same(call, results);
}

Status run_scatter_nd(Call& call) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1];
  copy_whole(x, *call.outputs[0]);
  THIMBLE_ASSIGN(const Writer writer, Writer::of(call, *call.inputs[2]));
  const Dims strides = strides_of(x.dims);
  const std::int64_t width = indices.dims.back();
  const std::int64_t piece = product_of(x.dims, static_cast<std::size_t>(width), x.dims.size());
  for (std::int64_t i = 0; i < indices.count() / width; ++i) {
    std::int64_t to = 0;
    for (std::int64_t k = 0; k < width; ++k) {
      const auto d = static_cast<std::size_t>(k);
      THIMBLE_ASSIGN(const std::int64_t at, index_within(indices, i * width + k, x.dims[d]));
      to += at * strides[d];
    }
    THIMBLE_TRY(writer.write(i * piece, to, piece));
  }
  return ok();
}

// TensorScatter: (cache, update, [write_indices]): the update's positions go into the cache's from
// a position of each sequence on.
Status shape_tensor_scatter(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &update = *call.inputs[1];
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", -2), x.dims.size()));
  bool right = axis > 0 && update.type == x.type && update.dims.size() == x.dims.size();
  for (std::size_t d = 0; right && d < x.dims.size(); ++d)
    right = d == axis ? update.dims[d] <= x.dims[d] : update.dims[d] == x.dims[d];
  const std::string_view mode = call.instruction.text("mode", "linear");
  right = right && (mode == "linear" || mode == "circular");
  THIMBLE_TRY(demand(right, "TensorScatter's inputs don't fit"));
  if (const Value* indices = input_at(call, 2)) {
    THIMBLE_TRY(demand(is_index(indices->type) && indices->dims == Dims{x.dims[0]},
                       "TensorScatter takes one position a sequence"));
  }
  return shape_same(call, results);
}

Status run_tensor_scatter(Call& call) {
  const Value &x = *call.inputs[0], &update = *call.inputs[1];
  const Value* indices = input_at(call, 2);
  copy_whole(x, *call.outputs[0]);
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", -2), x.dims.size()));
  const bool circular = call.instruction.text("mode", "linear") == "circular";
  const std::int64_t room = x.dims[axis], steps = update.dims[axis];
  const std::int64_t outer = product_of(x.dims, 0, axis), heads = product_of(x.dims, 1, axis);
  const std::size_t row =
      static_cast<std::size_t>(product_of(x.dims, axis + 1, x.dims.size())) * element_bytes(x);
  for (std::int64_t o = 0; o < outer && row > 0; ++o) {
    std::int64_t start = indices != nullptr ? index_at(*indices, o / heads) : 0;
    if (circular && room > 0 && start > 0) start %= room;
    if (start < 0 || (!circular && start > room - steps))
      return invalid_argument("TensorScatter's position is out of range");
    for (std::int64_t t = 0; t < steps; ++t) {
      const std::int64_t to = (start + t) % room;
      std::memcpy(bytes_of(*call.outputs[0]) + static_cast<std::size_t>(o * room + to) * row,
                  bytes_of(update) + static_cast<std::size_t>(o * steps + t) * row, row);
    }
  }
  return ok();
}

}  // namespace

std::span<const Operator> scattering_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kScatterElements, run_scatter_elements, nullptr, shape_scatter_elements},
      {Op::kScatterNd, run_scatter_nd, nullptr, shape_scatter_nd},
      {Op::kTensorScatter, run_tensor_scatter, nullptr, shape_tensor_scatter},
  };
  return kOperators;
}

}  // namespace thimble::runtime
