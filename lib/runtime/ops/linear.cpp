// Products. All weights that read one input are one piece of work: its rows are quantized once, and
// the threads share the tiles of all weights.

#include "runtime/memory.h"
#include "runtime/ops/ops.h"
#include "runtime/ops/product_rows.h"
#include "support/checked.h"

namespace thimble::runtime {
namespace {

struct Part {
  const Value* weight = nullptr;
  const Value* bias = nullptr;
  Value* output = nullptr;
  std::int64_t outputs = 0;     // N
  std::int64_t first_tile = 0;  // in the numbering over all weights
  std::int64_t tiles = 0;
};

struct Shape {
  std::int64_t rows, inputs;
  Activations how;
};

Shape shape_of(const Call& call) {
  const Value& x = *call.inputs[0];
  Shape shape;
  shape.inputs = x.dims.back();
  shape.rows = shape.inputs > 0 ? x.count() / shape.inputs : 0;
  shape.how = Activations::of(call);
  return shape;
}

// Rows that are packed for the dense ones among the weights.
std::int64_t packed_rows(const Call& call, const Shape& shape) {
  for (std::size_t i = 1; i < call.inputs.size(); i += 2) {
    if (call.inputs[i]->tensor == nullptr) return kernels::rows_to_pack(shape.rows);
  }
  return 0;
}

std::size_t packed_bytes(const Call& call, const Shape& shape) {
  return sizeof(float) * static_cast<std::size_t>(
                             kernels::packed_rows_floats(packed_rows(call, shape), shape.inputs));
}

std::size_t quantized_bytes(const Shape& shape) {
  return Memory::aligned(ProductRows::bytes(shape.how, shape.rows, shape.inputs));
}

std::size_t thread_bytes(const Call& call, const Shape& shape) {
  const std::int64_t near =
      packed_rows(call, shape) > 0 ? kernels::near_weights_floats(shape.inputs) : 0;
  return Memory::aligned(std::max(kernels::linear_scratch_bytes(shape.rows, shape.inputs),
                                  static_cast<std::size_t>(near) * sizeof(float)));
}

std::vector<Part> parts_of(const Call& call) {
  std::vector<Part> parts;
  std::int64_t tiles = 0;
  for (std::size_t i = 0; i < call.outputs.size(); ++i) {
    Part part;
    part.weight = call.inputs[1 + 2 * i];
    part.bias = call.inputs[2 + 2 * i];
    part.output = call.outputs[i];
    const bool tiled = part.weight->tensor != nullptr;
    part.outputs = tiled ? part.weight->grouped.rows : part.weight->dims[0];
    part.first_tile = tiles;
    part.tiles = ceil_div<std::int64_t>(part.outputs, kernels::kTileRows);
    tiles += part.tiles;
    parts.push_back(part);
  }
  return parts;
}

kernels::DenseWeight dense_view(const Value& weight) {
  kernels::DenseWeight view;
  view.rows = weight.dims[0];
  view.inputs = weight.dims[1];
  view.type = weight.type == program::Type::kF16    ? kernels::FloatType::kF16
              : weight.type == program::Type::kBF16 ? kernels::FloatType::kBF16
                                                    : kernels::FloatType::kF32;
  view.data = weight.data;
  return view;
}

void add_bias(const kernels::RowKernels& kernels, const Part& part, std::int64_t rows,
              std::int64_t begin, std::int64_t end) {
  if (part.bias == nullptr) return;
  const float* bias = part.bias->floats() + begin;
  float* y = part.output->floats() + begin;
  for (std::int64_t m = 0; m < rows; ++m, y += part.outputs)
    kernels.pair(kernels::Pair::kAdd, y, bias, end - begin, y);
}

class Product {
 public:
  Product(Call& call, const Shape& shape)
      : call_(call),
        shape_(shape),
        rows_(shape.how, call.scratch.data(), shape.rows, shape.inputs),
        packed_(reinterpret_cast<float*>(call.scratch.data() + quantized_bytes(shape))),
        packed_rows_(packed_rows(call, shape)) {}

  void quantize() {
    if (shape_.how.planes == 0) return;
    const float* x = call_.inputs[0]->floats();
    over_rows(call_.machine, shape_.rows, shape_.inputs, [&](std::int64_t begin, std::int64_t end) {
      rows_.quantize(call_.machine.linear, x, shape_.inputs, begin, end);
    });
    rows_.quantize_zeros();
  }

  void pack() {
    const float* x = call_.inputs[0]->floats();
    over_rows(call_.machine, kernels::row_vectors(packed_rows_), 16 * shape_.inputs,
              [&](std::int64_t begin, std::int64_t end) {
                call_.machine.linear.pack_rows(x, packed_rows_, shape_.inputs, shape_.inputs, begin,
                                               end, packed_);
              });
  }

  // Tiles [begin, end) of one weight.
  void run(const Part& part, std::int64_t begin, std::int64_t end, std::byte* scratch) const {
    const kernels::LinearKernels& kernels = call_.machine.linear;
    const float* x = call_.inputs[0]->floats();
    float* y = part.output->floats();
    const std::int64_t first = begin * kernels::kTileRows;
    const std::int64_t last = std::min(end * kernels::kTileRows, part.outputs);
    if (part.weight->tensor == nullptr) {
      run_dense(part, first, last, scratch);
    } else {
      rows_.multiply(kernels, part.weight->grouped, x, shape_.inputs, begin, end, y, part.outputs,
                     scratch);
    }
    add_bias(call_.machine.rows, part, shape_.rows, first, last);
  }

 private:
  // Outputs [first, last): packed rows together, those left over as they lie.
  void run_dense(const Part& part, std::int64_t first, std::int64_t last,
                 std::byte* scratch) const {
    const kernels::LinearKernels& kernels = call_.machine.linear;
    const kernels::DenseWeight weight = dense_view(*part.weight);
    float* y = part.output->floats();
    kernels.dense_packed(weight, packed_, packed_rows_, first, last, y, part.outputs,
                         reinterpret_cast<float*>(scratch));
    if (packed_rows_ == shape_.rows) return;
    kernels.dense(weight, call_.inputs[0]->floats() + packed_rows_ * shape_.inputs,
                  shape_.rows - packed_rows_, shape_.inputs, first, last,
                  y + packed_rows_ * part.outputs, part.outputs);
  }

  Call& call_;
  Shape shape_;
  ProductRows rows_;
  float* packed_;
  std::int64_t packed_rows_;
};

std::size_t linear_scratch(const Call& call) {
  const Shape shape = shape_of(call);
  return quantized_bytes(shape) + packed_bytes(call, shape) +
         static_cast<std::size_t>(call.machine.pool.threads()) * thread_bytes(call, shape);
}

Status run_linear(Call& call) {
  const Shape shape = shape_of(call);
  if (shape.rows == 0) return ok();
  const std::vector<Part> parts = parts_of(call);
  Product product(call, shape);
  product.quantize();
  product.pack();
  const std::size_t own =
      static_cast<std::size_t>(call.machine.pool.threads()) * thread_bytes(call, shape);
  ScratchParts scratch(call.scratch.subspan(linear_scratch(call) - own),
                       call.machine.pool.threads(), thread_bytes(call, shape));
  const std::int64_t tiles = parts.back().first_tile + parts.back().tiles;
  over_rows(call.machine, scratch, tiles, kernels::kTileRows * shape.inputs * shape.rows,
            [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
              for (const Part& part : parts) {
                const std::int64_t from = std::max<std::int64_t>(begin - part.first_tile, 0);
                const std::int64_t to = std::min<std::int64_t>(end - part.first_tile, part.tiles);
                if (from < to) product.run(part, from, to, memory);
              }
            });
  return ok();
}

}  // namespace

std::span<const Operator> product_operators() {
  static constexpr Operator kOperators[] = {
      {program::Op::kLinear, run_linear, linear_scratch, shape_linear},
  };
  return kOperators;
}

}  // namespace thimble::runtime
