// Elements and slices written to places that indices say: ScatterElements, ScatterND,
// TensorScatter.

#include <algorithm>
#include <atomic>
#include <cstring>

#include "runtime/ops/selection.h"
#include "support/checked.h"

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

// Puts elements of updates into y.
class Writer {
 public:
  static Expected<Writer> of(Call& call, const Value& updates) {
    Writer out(updates, *call.outputs[0]);
    THIMBLE_ASSIGN(out.reduction_, reduction_of(call));
    if (out.reduction_ != Reduction::kNone)
      THIMBLE_TRY(with_number(out.y_.type, [](auto) { return ok(); }));
    return out;
  }
  // One element: four bytes in most cases, without a call.
  void put(std::int64_t from, std::int64_t to) const {
    if (reduction_ != Reduction::kNone || element_bytes(y_) != 4) return write(from, to, 1);
    std::memcpy(bytes_of(y_) + 4 * to, bytes_of(updates_) + 4 * from, 4);
  }
  // `count` elements of updates from `from` on at `to` of y.
  void write(std::int64_t from, std::int64_t to, std::int64_t count) const {
    if (reduction_ == Reduction::kNone) {
      const std::size_t size = element_bytes(y_);
      if (count > 0)
        std::memcpy(bytes_of(y_) + static_cast<std::size_t>(to) * size,
                    bytes_of(updates_) + static_cast<std::size_t>(from) * size,
                    static_cast<std::size_t>(count) * size);
      return;
    }
    const Status done = with_number(y_.type, [&](auto zero) {
      using T = decltype(zero);
      T* y = data_of<T>(y_) + to;
      const T* x = data_of<T>(updates_) + from;
      for (std::int64_t i = 0; i < count; ++i) y[i] = reduced<T>(reduction_, y[i], x[i]);
      return ok();
    });
    THIMBLE_CHECK(done.has_value(), "of() has asked for the type");
  }

 private:
  Writer(const Value& updates, Value& y) : updates_(updates), y_(y) {}
  const Value& updates_;
  Value& y_;
  Reduction reduction_ = Reduction::kNone;
};

void copy_whole(Machine& machine, const Value& x, Value& y) {
  constexpr std::int64_t kPiece = 1 << 18;
  const auto bytes = static_cast<std::int64_t>(byte_count(y));
  over_each(machine, ceil_div(bytes, kPiece), kPiece / 4, [&](std::int64_t piece) {
    const std::int64_t from = piece * kPiece;
    std::memcpy(bytes_of(y) + from, bytes_of(x) + from,
                static_cast<std::size_t>(std::min(kPiece, bytes - from)));
  });
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

// ScatterElements. What lies beside each other on the axis is written in order; the lines of it go
// over threads, up to kPiece neighbouring ones together.
class ElementScatter {
 public:
  ElementScatter(const Call& call, const Writer& writer, std::size_t axis)
      : indices_(*call.inputs[1]), writer_(writer), axis_(axis), run_(indices_.dims.size()) {
    const Dims &x = call.inputs[0]->dims, &from = indices_.dims;
    from_ = strides_of(from);
    to_ = strides_of(x);
    rows_ = x[axis];
    // The last axes, as far as they lie alike in both.
    while (run_ > axis + 1 && (run_ == from.size() || from[run_] == x[run_])) --run_;
    length_ = product_of(from, run_, from.size());
    pieces_ = ceil_div(length_, kPiece);
  }

  Status run(Machine& machine) {
    const Dims& dims = indices_.dims;
    if (indices_.count() == 0) return ok();
    const std::int64_t lines = indices_.count() / dims[axis_] / length_;
    over_each(machine, lines * pieces_, dims[axis_] * std::min(length_, kPiece),
              [&](std::int64_t unit) { write_piece(unit / pieces_, unit % pieces_ * kPiece); });
    const std::int64_t wrong = wrong_;
    return wrong < 0 ? ok() : Status(index_within(indices_, wrong, rows_).error());
  }

 private:
  static constexpr std::int64_t kPiece = 1024, kBlock = 16;

  void write_piece(std::int64_t line, std::int64_t begin) {
    std::int64_t from = begin, to = begin;
    for (std::size_t d = run_; d-- > 0;) {
      if (d == axis_) continue;
      from += line % indices_.dims[d] * from_[d];
      to += line % indices_.dims[d] * to_[d];
      line /= indices_.dims[d];
    }
    const std::int64_t count = std::min(kPiece, length_ - begin);
    for (std::int64_t k = 0; k < indices_.dims[axis_]; ++k, from += from_[axis_]) {
      std::int64_t i = 0;
      for (; i + kBlock <= count; i += kBlock) write_block(from + i, to + i);
      for (; i < count; ++i) write_one(from + i, to + i);
    }
  }
  // An index that was broadcast is the same in all of a block.
  void write_block(std::int64_t from, std::int64_t to) {
    const bool alike = indices_.type == Type::kI64
                           ? all_alike(data_of<std::int64_t>(indices_) + from)
                           : all_alike(data_of<std::int32_t>(indices_) + from);
    if (alike) {
      if (const std::int64_t row = row_at(from); row >= 0)
        writer_.write(from, to + row * to_[axis_], kBlock);
      return;
    }
    for (std::int64_t i = 0; i < kBlock; ++i) write_one(from + i, to + i);
  }
  void write_one(std::int64_t from, std::int64_t to) {
    if (const std::int64_t row = row_at(from); row >= 0) writer_.put(from, to + row * to_[axis_]);
  }
  template <class T>
  static bool all_alike(const T* indices) {
    T differ = 0;
    for (std::int64_t i = 1; i < kBlock; ++i) differ |= indices[i] ^ indices[0];
    return differ == 0;
  }
  // -1 for one that isn't there; the first of those is remembered.
  std::int64_t row_at(std::int64_t from) {
    const std::int64_t given = index_at(indices_, from);
    const std::int64_t row = given < 0 ? given + rows_ : given;
    if (row >= 0 && row < rows_) return row;
    std::int64_t wrong = wrong_;
    while ((wrong < 0 || from < wrong) && !wrong_.compare_exchange_weak(wrong, from)) {
    }
    return -1;
  }

  const Value& indices_;
  const Writer& writer_;
  std::size_t axis_, run_;  // run_: the first of the last axes
  Dims from_, to_;
  std::int64_t rows_ = 0, length_ = 1, pieces_ = 1;
  std::atomic<std::int64_t> wrong_ = -1;
};

Status run_scatter_elements(Call& call) {
  const Value& x = *call.inputs[0];
  copy_whole(call.machine, x, *call.outputs[0]);
  THIMBLE_ASSIGN(const std::size_t axis,
                 axis_at(call.instruction.integer("axis", 0), x.dims.size()));
  THIMBLE_ASSIGN(const Writer writer, Writer::of(call, *call.inputs[2]));
  return ElementScatter(call, writer, axis).run(call.machine);
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
  copy_whole(call.machine, x, *call.outputs[0]);
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
    writer.write(i * piece, to, piece);
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
  copy_whole(call.machine, x, *call.outputs[0]);
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
