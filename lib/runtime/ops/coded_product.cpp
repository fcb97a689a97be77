// Products of codes that were found as the model ran, with weights of codes: rows of bytes as they
// lie, straight to floats.

#include "runtime/ops/coded_product.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "runtime/memory.h"
#include "runtime/ops/coded.h"
#include "runtime/ops/numbers.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

using program::Type;

constexpr std::int64_t kRowsAtOnce = 64;  // rows at a time

struct CodedShape {
  std::int64_t rows, inputs, outputs;
  std::int64_t row_bytes() const { return kernels::coded_row_bytes(inputs); }
  // Does a row end where a step of the kernels does?
  bool in_place() const { return row_bytes() == inputs; }
};

CodedShape coded_shape_of(const Call& call) {
  const program::Tensor& w = *call.inputs[kWeight]->tensor;
  return {call.inputs[kX]->count() / w.inputs, w.inputs, w.rows};
}

bool is_numbers(const Value* value, Type type, std::int64_t count) {
  return value == nullptr || (value->type == type && value->count() == count);
}

Status shape_product(const Call& call, std::vector<Dims>& results) {
  if (is_window_product(call)) return shape_window_product(call, results);
  const Value &x = *call.inputs[kX], &w = *call.inputs[kWeight];
  const bool factors = w.tensor != nullptr && w.tensor->dims.size() == 2 &&
                       w.tensor->group_size == w.tensor->rows && x.type == Type::kU8 &&
                       !x.dims.empty() && x.dims.back() == w.tensor->inputs;
  THIMBLE_TRY(demand(factors, "a product of codes takes u8 rows as long as its weight's"));
  THIMBLE_TRY(check_product_vectors(call, w.tensor->rows));
  results[0] = x.dims;
  results[0].back() = w.tensor->rows;
  return ok();
}

// What a call needs beside its operands, cut from its scratch.
struct Terms {
  std::int32_t *offset, *x_sums;
  float* factor;
  std::uint8_t* rows;  // x with its rows padded to whole steps, where they aren't

  static std::size_t rounded(std::int64_t bytes) {
    return Memory::aligned(static_cast<std::size_t>(bytes));
  }
  static std::size_t bytes(const CodedShape& s) {
    return 2 * rounded(4 * s.outputs) + rounded(4 * s.rows) +
           (s.in_place() ? 0 : rounded(s.rows * s.row_bytes()));
  }
  Terms(std::byte* memory, const CodedShape& s) {
    offset = reinterpret_cast<std::int32_t*>(memory);
    factor = reinterpret_cast<float*>(memory += rounded(4 * s.outputs));
    x_sums = reinterpret_cast<std::int32_t*>(memory += rounded(4 * s.outputs));
    rows = reinterpret_cast<std::uint8_t*>(memory + rounded(4 * s.rows));
  }
};

std::size_t scratch_product(const Call& call) {
  return is_window_product(call) ? scratch_window_product(call)
                                 : Terms::bytes(coded_shape_of(call));
}

class CodedProduct {
 public:
  explicit CodedProduct(Call& call)
      : call_(call), shape_(coded_shape_of(call)), terms_(call.scratch.data(), shape_) {}

  void run() {
    prepare_product_terms(call_, shape_.inputs, shape_.outputs, terms_.offset, terms_.factor);
    prepare_rows();
    const std::int64_t runs = ceil_div(shape_.rows, kRowsAtOnce);
    const TileParts parts(runs, shape_.outputs, call_.machine.pool.threads());
    over_each(call_.machine, parts.units(),
              kRowsAtOnce * shape_.inputs * shape_.outputs / parts.parts, [&](std::int64_t unit) {
                multiply(parts.job(unit) * kRowsAtOnce, parts.begin(unit), parts.end(unit));
              });
  }

 private:
  template <class T>
  const T* data(ProductOperand input) const {
    return operand_of<T>(call_, input);
  }

  void prepare_rows() const {
    const bool sums = data<std::int32_t>(kZero) != nullptr;
    if (!sums && shape_.in_place()) return;
    over_each(call_.machine, shape_.rows, shape_.inputs, [&](std::int64_t m) {
      const std::uint8_t* x = data<std::uint8_t>(kX) + m * shape_.inputs;
      if (sums) terms_.x_sums[m] = std::accumulate(x, x + shape_.inputs, std::int32_t{0});
      if (shape_.in_place()) return;
      std::uint8_t* row = terms_.rows + m * shape_.row_bytes();
      std::memcpy(row, x, static_cast<std::size_t>(shape_.inputs));
      std::memset(row + shape_.inputs, 0,
                  static_cast<std::size_t>(shape_.row_bytes() - shape_.inputs));
    });
  }

  // Outputs [begin, end) of the rows from `row` on.
  void multiply(std::int64_t row, std::int64_t begin, std::int64_t end) const {
    const std::uint8_t* x = shape_.in_place() ? data<std::uint8_t>(kX) : terms_.rows;
    const auto from = [&](auto* vector) { return vector != nullptr ? vector + begin : nullptr; };
    kernels::Dequantize to;
    to.offset = terms_.offset + begin;
    to.factor = terms_.factor + begin;
    to.bias = from(data<float>(kBias));
    to.zero = from(data<std::int32_t>(kZero));
    to.x_sums = terms_.x_sums + row;
    call_.machine.coded.multiply_to_floats(
        data<std::int8_t>(kWeight) +
            begin / kernels::kCodedRows * kernels::coded_tile_bytes(shape_.inputs),
        shape_.inputs, x + row * shape_.row_bytes(), shape_.row_bytes(),
        std::min(kRowsAtOnce, shape_.rows - row), end - begin, to,
        call_.outputs[0]->floats() + row * shape_.outputs + begin, shape_.outputs);
  }

  Call& call_;
  CodedShape shape_;
  Terms terms_;
};

Status run_product(Call& call) {
  if (is_window_product(call)) return run_window_product(call);
  CodedProduct(call).run();
  return ok();
}

}  // namespace

Status check_product_vectors(const Call& call, std::int64_t outputs) {
  const bool vectors = is_numbers(call.inputs[kSums], Type::kI32, outputs) &&
                       is_numbers(call.inputs[kFactor], Type::kF32, outputs) &&
                       is_numbers(call.inputs[kXScale], Type::kF32, 1) &&
                       is_numbers(call.inputs[kXZero], Type::kU8, 1) &&
                       is_numbers(input_at(call, kBias), Type::kF32, outputs) &&
                       is_numbers(input_at(call, kZero), Type::kI32, outputs) &&
                       call.outputs[0]->type == Type::kF32;
  return demand(vectors, "a product of codes takes a number for each output, and gives f32");
}

void prepare_product_terms(const Call& call, std::int64_t inputs, std::int64_t outputs,
                           std::int32_t* offset, float* factor) {
  const auto* zeros = operand_of<std::int32_t>(call, kZero);
  const auto* sums = operand_of<std::int32_t>(call, kSums);
  const auto x_zero = static_cast<std::uint32_t>(*operand_of<std::uint8_t>(call, kXZero));
  const auto count = static_cast<std::uint32_t>(inputs);
  const float x_scale = *operand_of<float>(call, kXScale);
  for (std::int64_t n = 0; n < outputs; ++n) {
    const auto zero = static_cast<std::uint32_t>(zeros != nullptr ? zeros[n] : 0);
    const auto sum = static_cast<std::uint32_t>(sums[n]);
    offset[n] = static_cast<std::int32_t>(x_zero * (count * zero - sum));
    factor[n] = x_scale * operand_of<float>(call, kFactor)[n];
  }
}

std::span<const Operator> coded_products() {
  static constexpr Operator kOperators[] = {
      {program::Op::kMultiplyCodes, run_product, scratch_product, shape_product},
  };
  return kOperators;
}

}  // namespace thimble::runtime
