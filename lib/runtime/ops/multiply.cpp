// Products of values that the run computes: MatMul of any type, Gemm, and the integer products.

#include <algorithm>
#include <cmath>

#include "runtime/ops/numbers.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

// [batch..., m, k] times [batch..., k, n].
struct Sizes {
  Dims batch;
  Dims a_batch, b_batch;  // strides, in matrices, along `batch`
  std::int64_t m, k, n;
};

// A vector is a row on the left and a column on the right.
Sizes sizes_of(const Value& a, const Value& b) {
  Dims left = a.dims, right = b.dims;
  if (left.size() == 1) left.insert(left.begin(), 1);
  if (right.size() == 1) right.push_back(1);
  Sizes s;
  s.m = left[left.size() - 2];
  s.k = left.back();
  s.n = right.back();
  left.resize(left.size() - 2);
  right.resize(right.size() - 2);
  s.batch = left.size() >= right.size() ? left : right;  // checked to broadcast
  const std::size_t lead = s.batch.size() - std::min(left.size(), right.size());
  const Dims& shorter = left.size() >= right.size() ? right : left;
  for (std::size_t d = 0; d < shorter.size(); ++d) {
    if (s.batch[lead + d] == 1) s.batch[lead + d] = shorter[d];
  }
  s.a_batch = broadcast_strides(left, s.batch);
  s.b_batch = broadcast_strides(right, s.batch);
  return s;
}

// Calls f(number of the result's matrix, of a's, of b's).
template <class F>
void each_matrix(const Sizes& s, F f) {
  each_element<2>(
      s.batch, {s.a_batch, s.b_batch},
      [&](std::int64_t c, const std::array<std::int64_t, 2>& at) { f(c, at[0], at[1]); });
}

// Both factors and the sums as numbers of type W, in scratch. Integers are unsigned: they wrap
// around.
template <class W>
struct Wide {
  W *a, *b, *c;

  Wide(std::span<std::byte> scratch, std::int64_t a_count, std::int64_t b_count)
      : a(reinterpret_cast<W*>(scratch.data())), b(a + a_count), c(b + b_count) {}

  // Rows of every matrix of c, one after the other: c[i] = sum over k of a[i, k] b[k].
  void multiply(Call& call, const Sizes& s) const {
    each_matrix(s, [&](std::int64_t to, std::int64_t left, std::int64_t right) {
      over_each(call.machine, s.m, s.k * s.n, [&](std::int64_t row) {
        const W* from = a + (left * s.m + row) * s.k;
        W* sums = c + (to * s.m + row) * s.n;
        std::fill_n(sums, s.n, W{});
        for (std::int64_t k = 0; k < s.k; ++k) {
          const W* line = b + (right * s.k + k) * s.n;
          for (std::int64_t n = 0; n < s.n; ++n) sums[n] += from[k] * line[n];
        }
      });
    });
  }
};

std::size_t wide_bytes(const Call& call, std::size_t right) {
  return static_cast<std::size_t>(call.inputs[0]->count() + call.inputs[right]->count() +
                                  call.outputs[0]->count()) *
         sizeof(double);
}

std::size_t scratch_matmul(const Call& call) {
  return call.inputs[0]->type == Type::kF32 ? 0 : wide_bytes(call, 1);
}

// Whole numbers wrap around: one type serves all of them.
template <class W>
Status matmul_wide(Call& call, const Sizes& s) {
  const Value &a = *call.inputs[0], &b = *call.inputs[1];
  const Wide<W> wide(call.scratch, a.count(), b.count());
  for (std::int64_t i = 0; i < a.count(); ++i) wide.a[i] = element<W>(a, i);
  for (std::int64_t i = 0; i < b.count(); ++i) wide.b[i] = element<W>(b, i);
  wide.multiply(call, s);
  Value& y = *call.outputs[0];
  for (std::int64_t i = 0; i < y.count(); ++i) set_element(y, i, wide.c[i]);
  return ok();
}

// Rows [first, last) of one matrix of the result.
void multiply_rows(Call& call, const Sizes& s, std::int64_t matrix, std::int64_t first,
                   std::int64_t last) {
  const std::int64_t left = offset_of(matrix, s.batch, s.a_batch),
                     right = offset_of(matrix, s.batch, s.b_batch);
  call.machine.linear.matmul(call.inputs[0]->floats() + left * s.m * s.k, s.k,
                             call.inputs[1]->floats() + right * s.k * s.n, s.n,
                             call.outputs[0]->floats() + matrix * s.m * s.n, s.n, first, last, s.n,
                             s.k);
}

Status run_matmul(Call& call) {
  const Value& a = *call.inputs[0];
  const Value& b = *call.inputs[1];
  const Sizes s = sizes_of(a, b);
  if (a.type != Type::kF32) {
    return family_of(a.type) == Family::kReal ? matmul_wide<double>(call, s)
                                              : matmul_wide<std::uint64_t>(call, s);
  }
  if (s.m == 0) return ok();
  // All matrices' rows are shared out together: many are small.
  over_rows(
      call.machine, count_of(s.batch) * s.m, s.k * s.n, [&](std::int64_t begin, std::int64_t end) {
        each_part(begin, end, s.m, [&](std::int64_t matrix, std::int64_t first, std::int64_t last) {
          multiply_rows(call, s, matrix, first, last);
        });
      });
  return ok();
}

// op(A) [m, k] and op(B) [k, n] of a Gemm.
Sizes gemm_sizes(const Call& call) {
  const Dims &a = call.inputs[0]->dims, &b = call.inputs[1]->dims;
  const bool ta = call.instruction.integer("transA", 0) != 0;
  const bool tb = call.instruction.integer("transB", 0) != 0;
  return {{}, {}, {}, a[ta ? 1 : 0], a[ta ? 0 : 1], b[tb ? 0 : 1]};
}

Status shape_gemm(const Call& call, std::vector<Dims>& results) {
  const Value &a = *call.inputs[0], &b = *call.inputs[1], *c = input_at(call, 2);
  THIMBLE_TRY(demand(a.dims.size() == 2 && b.dims.size() == 2, "Gemm takes matrices"));
  THIMBLE_TRY(demand(
      a.type == b.type && call.outputs[0]->type == a.type && (c == nullptr || c->type == a.type),
      "Gemm's values are of one type"));
  const Sizes s = gemm_sizes(call);
  const bool tb = call.instruction.integer("transB", 0) != 0;
  THIMBLE_TRY(demand(b.dims[tb ? 1 : 0] == s.k, "Gemm's sizes don't fit"));
  results[0] = {s.m, s.n};
  if (c != nullptr) {
    THIMBLE_ASSIGN(const Dims dims, broadcast_dims(c->dims, results[0]));
    THIMBLE_TRY(demand(dims == results[0], "Gemm's C doesn't fit its result"));
  }
  return ok();
}

// A matrix [rows, columns] of type W, read across where it is transposed.
template <class W>
void load_matrix(const Value& from, bool transposed, W* to) {
  const std::int64_t rows = from.dims[transposed ? 1 : 0], columns = from.dims[transposed ? 0 : 1];
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < columns; ++c) {
      const std::int64_t at = transposed ? c * rows + r : r * columns + c;
      to[r * columns + c] = element<W>(from, at);
    }
  }
}

std::size_t scratch_gemm(const Call& call) {
  const bool f32 = call.inputs[0]->type == Type::kF32;
  if (!f32) return wide_bytes(call, 1);
  const bool ta = call.instruction.integer("transA", 0) != 0;
  return ta ? static_cast<std::size_t>(call.inputs[0]->count()) * sizeof(float) : 0;
}

// alpha * product + beta * C; `product` may be y itself.
template <class W, class Get>
void add_scaled(Call& call, Get product) {
  Value& y = *call.outputs[0];
  const Value* c = input_at(call, 2);
  const auto factor = [&](const char* name) {
    const double given = call.instruction.real(name, 1);
    return std::is_integral_v<W> ? static_cast<W>(whole(given)) : static_cast<W>(given);
  };
  const W alpha = factor("alpha"), beta = factor("beta");
  const Dims strides = c != nullptr ? broadcast_strides(c->dims, y.dims) : Dims{0, 0};
  const std::int64_t columns = y.dims[1];
  over_each(call.machine, y.dims[0], columns * 4, [&](std::int64_t row) {
    for (std::int64_t i = row * columns, n = 0; n < columns; ++i, ++n) {
      W v = alpha * product(i);
      if (c != nullptr) v += beta * element<W>(*c, row * strides[0] + n * strides[1]);
      set_element(y, i, v);
    }
  });
}

template <class W>
Status gemm_wide(Call& call) {
  const Value &a = *call.inputs[0], &b = *call.inputs[1];
  const Wide<W> wide(call.scratch, a.count(), b.count());
  load_matrix(a, call.instruction.integer("transA", 0) != 0, wide.a);
  load_matrix(b, call.instruction.integer("transB", 0) != 0, wide.b);
  wide.multiply(call, gemm_sizes(call));
  add_scaled<W>(call, [&](std::int64_t i) { return wide.c[i]; });
  return ok();
}

// y = alpha y + beta C in f32.
void finish_gemm(Call& call) {
  Value& y = *call.outputs[0];
  const Value* c = input_at(call, 2);
  const float alpha = call.instruction.real("alpha", 1), beta = call.instruction.real("beta", 1);
  if (alpha == 1 && (c == nullptr || beta == 0)) return;
  const Dims strides = c != nullptr ? broadcast_strides(c->dims, y.dims) : Dims{0, 0};
  const std::int64_t columns = y.dims[1];
  over_each(call.machine, y.dims[0], columns, [&](std::int64_t row) {
    float* to = y.floats() + row * columns;
    for (std::int64_t n = 0; n < columns; ++n) to[n] *= alpha;
    if (c == nullptr) return;
    const float* from = c->floats() + row * strides[0];
    for (std::int64_t n = 0; n < columns; ++n) to[n] += beta * from[n * strides[1]];
  });
}

Status run_gemm(Call& call) {
  const Value &a = *call.inputs[0], &b = *call.inputs[1];
  if (a.type != Type::kF32) {
    return family_of(a.type) == Family::kReal ? gemm_wide<double>(call)
                                              : gemm_wide<std::uint64_t>(call);
  }
  const Sizes s = gemm_sizes(call);
  const float* left = a.floats();
  float* y = call.outputs[0]->floats();
  if (call.instruction.integer("transA", 0) != 0) {
    auto* turned = reinterpret_cast<float*>(call.scratch.data());
    for (std::int64_t k = 0; k < s.k; ++k) {
      for (std::int64_t m = 0; m < s.m; ++m) turned[m * s.k + k] = left[k * s.m + m];
    }
    left = turned;
  }
  const kernels::LinearKernels& linear = call.machine.linear;
  if (s.m == 0 || s.n == 0) return ok();
  if (s.k == 0) {
    std::fill_n(y, s.m * s.n, 0.0f);
  } else if (call.instruction.integer("transB", 0) != 0) {
    kernels::DenseWeight weight;
    weight.rows = s.n;
    weight.inputs = s.k;
    weight.type = kernels::FloatType::kF32;
    weight.data = b.data;
    const std::int64_t tiles = ceil_div<std::int64_t>(s.n, kernels::kTileRows);
    over_rows(call.machine, tiles, s.m * s.k * kernels::kTileRows,
              [&](std::int64_t begin, std::int64_t end) {
                linear.dense(weight, left, s.m, s.k, begin * kernels::kTileRows,
                             std::min(end * kernels::kTileRows, s.n), y, s.n);
              });
  } else {
    over_rows(call.machine, s.m, s.k * s.n, [&](std::int64_t begin, std::int64_t end) {
      linear.matmul(left, s.k, b.floats(), s.n, y, s.n, begin, end, s.n, s.k);
    });
  }
  finish_gemm(call);
  return ok();
}

// The integer products' inputs: MatMulInteger has (a, b, [a zero], [b zero]), QLinearMatMul
// (a, scale, zero, b, scale, zero, y's scale, zero).
struct Parts {
  const Value &a, &b;
  const Value *a_zero, *b_zero;
  const Value *a_scale = nullptr, *b_scale = nullptr, *y_scale = nullptr, *y_zero = nullptr;
};

Parts batch_parts(const Call& call) {
  const auto& in = call.inputs;
  if (call.instruction.op == Op::kMatMulInteger)
    return {*in[0], *in[1], input_at(call, 2), input_at(call, 3)};
  return {*in[0], *in[3], in[2], in[5], in[1], in[4], in[6], in[7]};
}

bool is_byte(Type type) { return type == Type::kU8 || type == Type::kI8; }

// One number, one a row of a (or a column of b), or of every matrix's.
bool fits_factor(const Value* parameter, const Value& factor, std::int64_t lines) {
  if (parameter == nullptr) return true;
  const std::int64_t count = parameter->count();
  return count == 1 || count == lines ||
         (!factor.dims.empty() && parameter->dims.size() == factor.dims.size() && lines > 0 &&
          count % lines == 0 &&
          count / lines == product_of(factor.dims, 0, factor.dims.size() - 2));
}

Status check_types(const Call& call, const Parts& p) {
  const bool bytes = is_byte(p.a.type) && is_byte(p.b.type) &&
                     (p.a_zero == nullptr || p.a_zero->type == p.a.type) &&
                     (p.b_zero == nullptr || p.b_zero->type == p.b.type);
  THIMBLE_TRY(demand(bytes, "an integer product takes u8 or i8, and zero points of their types"));
  if (p.a_scale == nullptr)
    return demand(call.outputs[0]->type == Type::kI32, "MatMulInteger gives i32");
  const bool scaled = family_of(p.a_scale->type) == Family::kReal &&
                      family_of(p.b_scale->type) == Family::kReal &&
                      family_of(p.y_scale->type) == Family::kReal && p.y_scale->count() == 1 &&
                      p.y_zero->count() == 1 && is_byte(call.outputs[0]->type) &&
                      p.y_zero->type == call.outputs[0]->type;
  return demand(scaled,
                "QLinearMatMul's scales are floats, its result is of its zero point's type");
}

Status shape_integer(const Call& call, std::vector<Dims>& results) {
  const Parts p = batch_parts(call);
  THIMBLE_TRY(check_types(call, p));
  THIMBLE_ASSIGN(results[0], matmul_dims(p.a.dims, p.b.dims));
  const Sizes s = sizes_of(p.a, p.b);
  const bool fits = fits_factor(p.a_zero, p.a, s.m) && fits_factor(p.a_scale, p.a, s.m) &&
                    fits_factor(p.b_zero, p.b, s.n) && fits_factor(p.b_scale, p.b, s.n);
  return demand(fits, "scales and zero points are one number, or one a row or column");
}

std::size_t scratch_integer(const Call& call) {
  return wide_bytes(call, call.instruction.op == Op::kMatMulInteger ? 1 : 3);
}

// Which parameter goes with a's row, or b's column, `line` of matrix `matrix`.
std::int64_t parameter_at(const Value& v, std::int64_t matrix, std::int64_t line,
                          std::int64_t lines) {
  const std::int64_t count = v.count();
  return count == 1 ? 0 : count == lines ? line : matrix * lines + line;
}

// Factors less their zero points.
void load_factors(const Parts& p, const Sizes& s, const Wide<std::uint32_t>& wide) {
  for (std::int64_t i = 0; i < p.a.count(); ++i) {
    const std::int64_t row = i / s.k;
    wide.a[i] = static_cast<std::uint32_t>(element<std::int64_t>(p.a, i));
    if (p.a_zero != nullptr)
      wide.a[i] -= static_cast<std::uint32_t>(
          element<std::int64_t>(*p.a_zero, parameter_at(*p.a_zero, row / s.m, row % s.m, s.m)));
  }
  for (std::int64_t i = 0; i < p.b.count(); ++i) {
    wide.b[i] = static_cast<std::uint32_t>(element<std::int64_t>(p.b, i));
    if (p.b_zero != nullptr)
      wide.b[i] -= static_cast<std::uint32_t>(
          element<std::int64_t>(*p.b_zero, parameter_at(*p.b_zero, i / (s.k * s.n), i % s.n, s.n)));
  }
}

// Sums to the result's grid.
void requantize(Call& call, const Parts& p, const Sizes& s, const Wide<std::uint32_t>& wide) {
  Value& y = *call.outputs[0];
  const Range range = range_of(y.type);
  const double y_scale = element<double>(*p.y_scale, 0), y_zero = element<double>(*p.y_zero, 0);
  each_matrix(s, [&](std::int64_t to, std::int64_t left, std::int64_t right) {
    for (std::int64_t i = 0; i < s.m * s.n; ++i) {
      const double a = element<double>(*p.a_scale, parameter_at(*p.a_scale, left, i / s.n, s.m));
      const double b = element<double>(*p.b_scale, parameter_at(*p.b_scale, right, i % s.n, s.n));
      const std::int64_t at = to * s.m * s.n + i;
      const double v =
          std::nearbyint(static_cast<std::int32_t>(wide.c[at]) * (a * b / y_scale)) + y_zero;
      set_element(y, at, v > range.most ? range.most : v >= range.least ? v : range.least);
    }
  });
}

Status run_integer(Call& call) {
  const Parts p = batch_parts(call);
  const Sizes s = sizes_of(p.a, p.b);
  if (call.outputs[0]->count() == 0) return ok();
  const Wide<std::uint32_t> wide(call.scratch, p.a.count(), p.b.count());
  load_factors(p, s, wide);
  wide.multiply(call, s);
  if (p.a_scale != nullptr)
    requantize(call, p, s, wide);
  else
    std::copy_n(wide.c, call.outputs[0]->count(), data_of<std::uint32_t>(*call.outputs[0]));
  return ok();
}

}  // namespace

std::span<const Operator> multiplying_operators() {
  static constexpr Operator kOperators[] = {
      {Op::kMatMul, run_matmul, scratch_matmul, shape_matmul},
      {Op::kGemm, run_gemm, scratch_gemm, shape_gemm},
      {Op::kMatMulInteger, run_integer, scratch_integer, shape_integer},
      {Op::kQLinearMatMul, run_integer, scratch_integer, shape_integer},
  };
  return kOperators;
}

}  // namespace thimble::runtime
