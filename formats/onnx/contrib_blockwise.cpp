// Products with, and look-ups in, constant matrices of a few bits.

#include <array>

#include "formats/onnx/blockwise.h"
#include "formats/onnx/bnb4.h"
#include "formats/onnx/contrib.h"

namespace thimble::formats::onnx {
namespace {

// A constant, also when a Reshape or a Cast stands before it: a head that is tied to the embedding
// sees the same bytes in other dims, and scales may be stored in 16 bits.
const ir::Weight* constant_bytes(const Rewriter& r, std::size_t input) {
  const ir::ValueId value = r.input(input);
  if (const ir::Weight* weight = r.weight_of(value)) return weight;
  if (!value.valid()) return nullptr;
  const ir::NodeId producer = r.graph().value(value).producer;
  if (!producer.valid()) return nullptr;
  const ir::Node& node = r.graph().node(producer);
  const bool to_f32 = node.is("Cast") && node.integer("to", 0) == 1;
  if (!node.is("Reshape") && !to_f32) return nullptr;
  const Inputs& inputs = node.inputs;
  return inputs.empty() ? nullptr : r.weight_of(inputs.front());
}

// Of a product with Blockwise or Bnb4.
template <class Parts>
Status set_shape(const Rewriter& r, Parts& p) {
  p.rows = r.node().integer("N", 0);
  p.inputs = r.node().integer("K", 0);
  p.block = r.node().integer("block_size", 0);
  return r.has(0) ? ok() : Status(r.refuse("it has no input"));
}

template <class Parts>
Status set_codes(const Rewriter& r, Parts& p, std::size_t codes, std::size_t scales) {
  const ir::Weight *code_weight = constant_bytes(r, codes), *scale = constant_bytes(r, scales);
  if (code_weight == nullptr || scale == nullptr) {
    return r.refuse("its quantized matrix and scales must be constants");
  }
  if (!code_weight->encoding.is_dense() || !scale->encoding.is_dense()) {
    return r.refuse("its quantized matrix is encoded already");
  }
  p.codes = *code_weight;
  p.scales = *scale;
  return ok();
}

Status set_parts(const Rewriter& r, Blockwise& p, std::size_t codes, std::size_t scales,
                 std::size_t zeros) {
  THIMBLE_TRY(set_codes(r, p, codes, scales));
  if (!r.has(zeros)) return ok();
  const ir::Weight* zero = constant_bytes(r, zeros);
  if (zero == nullptr) return r.refuse("its zero points must be constants");
  p.zeros = *zero;
  return ok();
}

// The first input times the transpose of a weight, with the bias that an input may be.
void replace_by_product(Rewriter& r, ir::ValueId weight, std::size_t bias) {
  const ir::ValueId factor =
      r.emit("Transpose", {weight}, {{"perm", std::vector<std::int64_t>{1, 0}}});
  ir::ValueId y = r.emit("MatMul", {r.input(0), factor});
  if (r.has(bias)) y = r.emit("Add", {y, r.input(bias)});
  r.replace({y});
}

// Which block each input is of; anything but their order is the mark of a permutation.
Status check_group_index(const Rewriter& r, std::size_t input, const Blockwise& p) {
  if (!r.has(input)) return ok();
  const ir::Weight* weight = r.weight_of(r.input(input));
  if (weight == nullptr) return r.refuse("its group index must be constant");
  THIMBLE_ASSIGN(const std::vector<std::int64_t> index, ir::read_integers(*weight));
  for (std::size_t i = 0; i < index.size(); ++i) {
    if (index[i] != static_cast<std::int64_t>(i) / p.block) {
      return r.refuse("inputs in another order than that of their groups are not supported");
    }
  }
  return ok();
}

// The accuracy level that lets a product round its input to int8, a scale for each block of a row.
constexpr std::int64_t kInt8Level = 4;

// Inputs: a, codes, scales, zero points, group index, bias.
Status matmul_nbits(Rewriter& r) {
  Blockwise p;
  THIMBLE_TRY(set_shape(r, p));
  const std::int64_t bits = r.node().integer("bits", 4);
  p.bits = bits > 0 && bits <= 8 ? static_cast<int>(bits) : 0;
  p.default_zero = p.bits > 0 ? 1 << (p.bits - 1) : 0;
  if (r.node().integer("weight_prepacked", 0) != 0) return r.refuse("a matrix packed for a GPU");
  THIMBLE_TRY(set_parts(r, p, 1, 2, 3));
  if (p.codes.dtype != ir::DType::kU8) return r.refuse("its codes must be bytes");
  if (p.block > 0) THIMBLE_TRY(check_group_index(r, 4, p));
  THIMBLE_ASSIGN(const ir::ValueId weight, r.constant(blockwise_weight(r.model(), p)));
  if (r.node().integer("accuracy_level", 0) == kInt8Level)
    r.graph().value(r.input(0)).activation = ir::ActivationScheme::kInt8;
  replace_by_product(r, weight, 5);
  return ok();
}

// Inputs: a, codes, scales.
Status matmul_bnb4(Rewriter& r) {
  Bnb4 p;
  THIMBLE_TRY(set_shape(r, p));
  const std::int64_t table = r.node().integer("quant_type", 1);
  p.normal = table == 1;
  if (table != 0 && table != 1) return r.refuse("its quant_type is neither 0 (FP4) nor 1 (NF4)");
  if (r.node().integer("transB", 1) != 1)
    return r.refuse("a matrix of inputs by outputs (transB 0)");
  THIMBLE_TRY(set_codes(r, p, 1, 2));
  if (p.codes.dtype != ir::DType::kU8) return r.refuse("its codes must be bytes");
  THIMBLE_ASSIGN(const ir::ValueId weight, r.constant(bnb4_weight(r.model(), std::move(p))));
  replace_by_product(r, weight, 3);
  return ok();
}

// Inputs: codes, indices, scales, zero points.
Status gather_block_quantized(Rewriter& r) {
  Blockwise p;
  if (!r.has(1)) return r.refuse("it has no indices");
  THIMBLE_TRY(set_parts(r, p, 0, 2, 3));
  const auto rank = r.rank_of(r.input(0));
  const std::int64_t axis = r.node().integer("quantize_axis", 1);
  if (r.node().integer("gather_axis", 0) != 0 || (axis != 1 && axis != -1)) {
    return r.refuse("it is supported with rows gathered and their last axis quantized");
  }
  if ((rank && *rank != 2) || p.codes.dims.empty()) {
    return r.refuse("it is supported on a matrix");
  }
  const bool bytes = p.codes.dtype == ir::DType::kU8;
  if (!bytes && p.codes.dtype != ir::DType::kU4 && p.codes.dtype != ir::DType::kI4) {
    return r.refuse("its codes must be bytes or integers of 4 bits");
  }
  const std::int64_t bits = bytes ? r.node().integer("bits", 4) : 4;
  p.bits = bits == 2 || bits == 4 || bits == 8 ? static_cast<int>(bits) : 0;
  if (p.bits == 0) return r.refuse("codes of " + std::to_string(bits) + " bits");
  p.is_signed = p.codes.dtype == ir::DType::kI4;
  p.default_zero = bytes ? 1 << (p.bits - 1) : 0;
  p.block = r.node().integer("block_size", 128);
  p.rows = p.codes.dims.front();
  if (p.rows < 1) return r.refuse("an empty matrix");
  p.inputs = p.codes.element_count() / p.rows * (bytes ? 8 / p.bits : 1);
  THIMBLE_ASSIGN(const ir::ValueId weight, r.constant(blockwise_weight(r.model(), p)));
  r.replace({r.emit("Gather", {weight, r.input(1)}, {{"axis", std::int64_t{0}}})});
  return ok();
}

constexpr std::array kContribBlockwise = {
    Adapter{"MatMulNBits", 0, matmul_nbits},
    Adapter{"MatMulBnb4", 0, matmul_bnb4},
    Adapter{"GatherBlockQuantized", 0, gather_block_quantized},
};

}  // namespace

std::span<const Adapter> blockwise_contribs() { return kContribBlockwise; }

}  // namespace thimble::formats::onnx
