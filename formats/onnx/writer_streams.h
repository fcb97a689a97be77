#pragma once
// The streams of a quantized weight as dense tensors that ONNX's operators take.
//
// A weight is seen as its matrix [rows, inputs] (ir::Weight), w = scale * (code - zero) (+
// minimum). Codes are written unsigned in `bits` of 2, 4 or 8, which may be wider than the
// encoding's: then, or where they can be moved so, the zero is 2^(bits-1), which operators assume
// by themselves. Super-blocks become groups, their scales multiplied out, which f32 holds exactly.

#include "ir/weight.h"

namespace thimble::formats::onnx {

// Its inputs lie along the last axis, so that rows of the matrix are rows of the tensor.
bool last_axis(const ir::Weight& weight);

// The encodings that have such a view: affine ones and super-blocks of them.
bool has_streams(const ir::Encoding& encoding);

// How codes are written: in how many bits, moved by how much, with zero points of their own or not.
struct CodeForm {
  int bits = 4;
  int shift = 0;
  bool points = false;
  int centre() const { return 1 << (bits - 1); }
};
// In the fewest bits of 2, 4 and 8 that hold the encoding's codes, or in `least` bits.
CodeForm code_form(const ir::Encoding& encoding, int least = 2);

// u8 [rows, blocks, block * bits / 8]: low bits first, the last block of a row filled up with the
// zero.
ir::Weight packed_codes(const ir::Weight& weight, const CodeForm& form, std::int64_t block);
// u8 [rows, bytes]: each row's zero points packed likewise, one a block.
ir::Weight packed_zeros(const ir::Weight& weight, const CodeForm& form, std::int64_t block);
// [rows, blocks] of the encoding's scale type (f32 where scales are products).
ir::Weight block_scales(const ir::Weight& weight, std::int64_t block);

// How numbers of a matrix lie: row after row, or turned, column after column.
enum class Order : std::uint8_t { kRows, kColumns };

// For DequantizeLinear. Codes as i4 or i8 around 0, of shape `dims` (the weight's, or another with
// as many elements whose first dim is `rows`); by columns, of shape [inputs, rows].
ir::Weight signed_codes(const ir::Weight& weight, const CodeForm& form,
                        std::vector<std::int64_t> dims, Order order);
// The same numbers for each group: [rows, groups] ([rows] where there is one), or [groups, rows].
ir::Weight signed_zeros(const ir::Weight& weight, const CodeForm& form, Order order);
ir::Weight group_scales(const ir::Weight& weight, Order order);
// f32: what to add where w = scale * (code - centre) + minimum.
ir::Weight group_minima(const ir::Weight& weight, const CodeForm& form, Order order);

// The numbers that the weight stands for, f32, in its own dims.
ir::Weight decoded(const ir::Weight& weight);

// Rows of the source can only be read together: it holds the tensor in memory while it is.
bool reads_whole(const ir::WeightSource& source);

}  // namespace thimble::formats::onnx
