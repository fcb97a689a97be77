// Values made of sizes and numbers: Shape, Size, ConstantOfShape, Range, EyeLike, Trilu.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/ops/selection.h"
#include "support/half.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

// The number that `i` and `x` are (one number, as an integer and as a real) in an element of y.
Status put_number(Value& y, std::int64_t at, std::int64_t i, double x) {
  if (y.type == Type::kF16 || y.type == Type::kBF16) {
    const auto real = static_cast<float>(x);
    data_of<std::uint16_t>(y)[at] =
        y.type == Type::kF16 ? float_to_half(real) : float_to_bfloat(real);
    return ok();
  }
  return with_number(y.type, [&](auto zero) {
    using T = decltype(zero);
    if constexpr (std::is_floating_point_v<T>) {
      data_of<T>(y)[at] = static_cast<T>(x);
    } else {
      data_of<T>(y)[at] = static_cast<T>(i);
    }
    return ok();
  });
}

// The dims [start, end) that Shape gives.
std::pair<std::int64_t, std::int64_t> span_of(const Call& call) {
  const auto rank = static_cast<std::int64_t>(call.inputs[0]->dims.size());
  const auto clamp = [&](std::int64_t i) {
    return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank);
  };
  const std::int64_t begin = clamp(call.instruction.integer("start", 0));
  return {begin, std::max(begin, clamp(call.instruction.integer("end", rank)))};
}

Status shape_shape(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(demand(call.outputs[0]->type == Type::kI64, "Shape gives i64"));
  const auto [begin, end] = span_of(call);
  results[0] = {end - begin};
  return ok();
}

Status run_shape(Call& call) {
  const auto [begin, end] = span_of(call);
  std::copy(call.inputs[0]->dims.begin() + begin, call.inputs[0]->dims.begin() + end,
            data_of<std::int64_t>(*call.outputs[0]));
  return ok();
}

Status shape_size(const Call& call, std::vector<Dims>& results) {
  results[0] = {};
  return demand(call.outputs[0]->type == Type::kI64, "Size gives i64");
}

Status run_size(Call& call) {
  *data_of<std::int64_t>(*call.outputs[0]) = call.inputs[0]->count();
  return ok();
}

Status shape_constant(const Call& call, std::vector<Dims>& results) {
  THIMBLE_ASSIGN(results[0], integers_of(*call.inputs[0]));
  const program::Attribute* value = call.instruction.find("value");
  return demand(value == nullptr || value->ints.size() + value->floats.size() == 1,
                "ConstantOfShape takes one value");
}

// One element, copied.
Status run_constant(Call& call) {
  Value& y = *call.outputs[0];
  if (y.count() == 0) return ok();
  const program::Attribute* value = call.instruction.find("value");
  if (value == nullptr) {
    std::memset(y.data, 0, byte_count(y));
    return ok();
  }
  const bool integer = value->floats.empty();
  const double real = integer ? static_cast<double>(value->ints[0]) : value->floats[0];
  const std::int64_t number = integer ? value->ints[0] : whole(real);
  const bool zero = integer ? number == 0 : real == 0;
  if (zero || element_bytes(y) == 1) {
    std::memset(y.data, static_cast<int>(static_cast<std::uint8_t>(number)), byte_count(y));
    return ok();
  }
  THIMBLE_TRY(put_number(y, 0, number, real));
  const std::size_t size = element_bytes(y);
  for (std::size_t at = size; at < byte_count(y); at += size)
    std::memcpy(bytes_of(y) + at, y.data, size);
  return ok();
}

// Elements of a range of integers or reals.
Expected<std::int64_t> range_length(double start, double limit, double delta) {
  const double count = std::ceil((limit - start) / delta);
  if (!(delta != 0) || !(std::fabs(count) < 0x1p40))
    return invalid_argument("a Range's bounds or step are out of range");
  return std::max<std::int64_t>(static_cast<std::int64_t>(count), 0);
}
Expected<std::int64_t> range_length(std::int64_t start, std::int64_t limit, std::int64_t delta) {
  if (delta == 0) return invalid_argument("a Range's step is 0");
  if (delta > 0 ? start >= limit : start <= limit) return 0;
  const auto low = static_cast<std::uint64_t>(std::min(start, limit)),
             high = static_cast<std::uint64_t>(std::max(start, limit));
  const auto step = delta > 0 ? static_cast<std::uint64_t>(delta)
                              : std::uint64_t{0} - static_cast<std::uint64_t>(delta);
  const std::uint64_t count = (high - low - 1) / step + 1;
  if (count > std::uint64_t{1} << 40) return invalid_argument("a Range is too long");
  return static_cast<std::int64_t>(count);
}

template <class T>
using Exact = std::conditional_t<std::is_floating_point_v<T>, double, std::int64_t>;

template <class F>
Status with_range(const Call& call, F f) {
  const Type type = call.inputs[0]->type;
  switch (type) {
    case Type::kF32:
      return f(float{});
    case Type::kF64:
      return f(double{});
    case Type::kI16:
      return f(std::int16_t{});
    case Type::kI32:
      return f(std::int32_t{});
    case Type::kI64:
      return f(std::int64_t{});
    default:
      return unsupported("a Range of " + std::string(program::type_name(type)));
  }
}

Status shape_range(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  for (const Value* input : call.inputs) {
    THIMBLE_TRY(demand(input->type == call.inputs[0]->type && input->count() == 1,
                       "a Range's start, limit and step are scalars of one type"));
  }
  return with_range(call, [&](auto zero) -> Status {
    using T = decltype(zero);
    const auto at = [&](std::size_t i) { return Exact<T>(*data_of<T>(*call.inputs[i])); };
    THIMBLE_ASSIGN(const std::int64_t length, range_length(at(0), at(1), at(2)));
    results[0] = {length};
    return ok();
  });
}

Status run_range_of(Call& call) {
  return with_range(call, [&](auto zero) {
    using T = decltype(zero);
    const T start = *data_of<T>(*call.inputs[0]), delta = *data_of<T>(*call.inputs[2]);
    T* y = data_of<T>(*call.outputs[0]);
    for (std::int64_t i = 0; i < call.outputs[0]->count(); ++i) {
      if constexpr (std::is_floating_point_v<T>) {
        y[i] = start + static_cast<T>(i) * delta;
      } else {
        y[i] = static_cast<T>(static_cast<std::uint64_t>(start) +
                              static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(delta));
      }
    }
    return ok();
  });
}

Status shape_eye(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(demand(call.inputs[0]->dims.size() == 2, "EyeLike takes a matrix"));
  return shape_same(call, results);
}

Status run_eye(Call& call) {
  Value& y = *call.outputs[0];
  const std::int64_t rows = y.dims[0], columns = y.dims[1];
  const std::int64_t shift = call.instruction.integer("k", 0);
  if (byte_count(y) > 0) std::memset(y.data, 0, byte_count(y));
  for (std::int64_t r = 0; r < rows; ++r) {
    // Whatever the shift, no overflow: a row's place is compared before it is computed.
    if (shift > columns || shift < -rows || r + shift < 0 || r + shift >= columns) continue;
    THIMBLE_TRY(put_number(y, r * columns + r + shift, 1, 1.0));
  }
  return ok();
}

Status shape_trilu(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(keeps_type(call));
  THIMBLE_TRY(demand(call.inputs[0]->dims.size() >= 2, "Trilu takes matrices"));
  if (const Value* k = input_at(call, 1)) {
    THIMBLE_TRY(demand(k->type == Type::kI64 && k->count() == 1, "Trilu's k is one i64"));
  }
  return shape_same(call, results);
}

// Upper: the columns from r + k on are kept; lower: those up to it.
Status run_trilu(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const std::int64_t rows = x.dims[x.dims.size() - 2], columns = x.dims.back();
  const Value* given = input_at(call, 1);
  const std::int64_t k =
      std::clamp(given != nullptr ? *data_of<std::int64_t>(*given) : 0, -rows, columns);
  const bool upper = call.instruction.integer("upper", 1) != 0;
  const std::size_t size = element_bytes(x);
  if (byte_count(y) == 0) return ok();
  std::memset(y.data, 0, byte_count(y));
  for (std::int64_t row = 0; row < x.count() / columns; ++row) {
    const std::int64_t middle = row % rows + k;
    const std::int64_t begin = upper ? std::clamp<std::int64_t>(middle, 0, columns) : 0;
    const std::int64_t end = upper ? columns : std::clamp<std::int64_t>(middle + 1, 0, columns);
    const auto at = static_cast<std::size_t>(row * columns + begin) * size;
    std::memcpy(bytes_of(y) + at, bytes_of(x) + at, static_cast<std::size_t>(end - begin) * size);
  }
  return ok();
}

}  // namespace

std::span<const Operator> filling_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kShape, run_shape, nullptr, shape_shape},
      {Op::kSize, run_size, nullptr, shape_size},
      {Op::kConstantOfShape, run_constant, nullptr, shape_constant},
      {Op::kRangeOf, run_range_of, nullptr, shape_range},
      {Op::kEyeLike, run_eye, nullptr, shape_eye},
      {Op::kTrilu, run_trilu, nullptr, shape_trilu},
  };
  return kOperators;
}

}  // namespace thimble::runtime
