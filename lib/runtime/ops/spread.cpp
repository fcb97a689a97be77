// Windows spread back over an image: MaxUnpool and Col2Im.

#include <algorithm>
#include <cstring>

#include "runtime/ops/convolve.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

// The image that the pool came from, unless `output_shape` says otherwise.
Expected<Dims> unpooled_dims(const Call& call) {
  const Dims& x = call.inputs[0]->dims;
  THIMBLE_ASSIGN(const Windows w, steps_of(call, x, {}));
  const program::Attribute* pads = call.instruction.find("pads");
  if (pads != nullptr && !pads->ints.empty() && pads->ints.size() != 2 * w.rank)
    return invalid_argument("MaxUnpool's pads don't fit");
  Dims dims = {x[0], x[1]};
  for (std::size_t i = 0; i < w.rank; ++i) {
    const std::size_t d = 3 - w.rank + i;
    std::int64_t size = (w.in[d] - 1) * w.stride[d] + w.kernel[d];
    if (pads != nullptr && !pads->ints.empty()) {
      const std::int64_t begin = pads->ints[i], end = pads->ints[w.rank + i];
      if (begin < 0 || end < 0 || begin > 1 << 30 || end > 1 << 30)
        return invalid_argument("MaxUnpool's pads are out of range");
      size -= begin + end;
    }
    if (size < 0) return invalid_argument("MaxUnpool's result has no size");
    dims.push_back(size);
  }
  return dims;
}

Status shape_unpool(const Call& call, std::vector<Dims>& results) {
  const Value &x = *call.inputs[0], &indices = *call.inputs[1];
  THIMBLE_TRY(demand(
      call.outputs[0]->type == x.type && indices.type == Type::kI64 && indices.dims == x.dims,
      "MaxUnpool's inputs don't fit"));
  THIMBLE_ASSIGN(results[0], unpooled_dims(call));
  if (const Value* shape = input_at(call, 2)) {
    THIMBLE_ASSIGN(results[0], integers_of(*shape));
    THIMBLE_TRY(demand(results[0].size() == x.dims.size(), "MaxUnpool's output_shape doesn't fit"));
  }
  return ok();
}

Status run_unpool(Call& call) {
  const Value& x = *call.inputs[0];
  Value& y = *call.outputs[0];
  const auto* indices = data_of<std::int64_t>(*call.inputs[1]);
  const auto size = static_cast<std::size_t>(program::type_bytes(x.type));
  std::memset(y.data, 0, static_cast<std::size_t>(y.count()) * size);
  THIMBLE_ASSIGN(const Dims pooled, unpooled_dims(call));
  const Dims strides = strides_of(y.dims);
  for (std::int64_t i = 0; i < x.count(); ++i) {
    std::int64_t rest = indices[i], at = 0;
    bool inside = rest >= 0;
    for (std::size_t d = pooled.size(); d-- > 0 && inside;) {
      inside = pooled[d] > 0 && rest % pooled[d] < y.dims[d];
      if (!inside) break;
      at += rest % pooled[d] * strides[d];
      rest /= pooled[d];
    }
    if (rest != 0 && inside) return invalid_argument("MaxUnpool's index is out of range");
    if (!inside) continue;
    std::memcpy(static_cast<std::byte*>(y.data) + static_cast<std::size_t>(at) * size,
                static_cast<const std::byte*>(x.data) + static_cast<std::size_t>(i) * size, size);
  }
  return ok();
}

// Col2Im: (x [n, c * taps, windows], image shape, block shape).
Expected<Windows> columns_of(const Call& call, Dims& dims) {
  const Value& x = *call.inputs[0];
  THIMBLE_ASSIGN(const Dims image, integers_of(*call.inputs[1]));
  THIMBLE_ASSIGN(const Dims block, integers_of(*call.inputs[2]));
  if (x.dims.size() != 3) return invalid_argument("Col2Im takes columns [batch, taps, windows]");
  for (const std::int64_t size : image) {
    if (size < 0 || size > std::int64_t{1} << 40)
      return invalid_argument("Col2Im's image is out of range");
  }
  dims = {x.dims[0], 1};
  dims.insert(dims.end(), image.begin(), image.end());
  if (block.empty()) return invalid_argument("Col2Im's block has no shape");
  THIMBLE_ASSIGN(Windows w, windows_of(call, dims, block));
  double taps = 1, windows = 1;
  for (std::size_t d = 0; d < 3; ++d) {
    taps *= static_cast<double>(w.kernel[d]);
    windows *= static_cast<double>(w.out[d]);
  }
  if (taps > 0x1p40 || windows > 0x1p40 || x.dims[1] % volume(w.kernel) != 0 ||
      x.dims[2] != volume(w.out)) {
    return invalid_argument("Col2Im's columns don't fit its image");
  }
  dims[1] = x.dims[1] / volume(w.kernel);
  return w;
}

Status shape_columns(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(demand(call.outputs[0]->type == x.type, "Col2Im's result has another type"));
  THIMBLE_TRY(with_number(x.type, [](auto) { return ok(); }));
  THIMBLE_TRY(columns_of(call, results[0]));
  return ok();
}

template <class T>
Status add_columns(Call& call, const Windows& w, std::int64_t planes) {
  const std::int64_t taps = volume(w.kernel), windows = volume(w.out);
  over_each(call.machine, planes, taps * windows, [&](std::int64_t p) {
    const T* x = data_of<T>(*call.inputs[0]) + p * taps * windows;
    T* y = data_of<T>(*call.outputs[0]) + p * volume(w.in);
    std::fill_n(y, volume(w.in), T{});
    each_row(w, [&](std::int64_t tap, std::int64_t to, std::int64_t from, std::int64_t columns) {
      for (std::int64_t k = 0; k < columns; ++k) {
        T& sum = y[to + k * w.stride[2]];
        sum = static_cast<T>(sum + x[tap * windows + from + k]);
      }
    });
  });
  return ok();
}

Status run_columns(Call& call) {
  Dims dims;
  THIMBLE_ASSIGN(const Windows w, columns_of(call, dims));
  return with_number(call.inputs[0]->type, [&](auto zero) {
    return add_columns<decltype(zero)>(call, w, dims[0] * dims[1]);
  });
}

}  // namespace

std::span<const Operator> spreading_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kMaxUnpool, run_unpool, nullptr, shape_unpool},
      {Op::kCol2Im, run_columns, nullptr, shape_columns},
  };
  return kOperators;
}

}  // namespace thimble::runtime
