#pragma once
// How a weight's numbers are written: a set of named typed streams and one decode function.
//
// Choosing an encoding never changes the graph, and says nothing of the physical layout: each
// emitter (the runtime's tiles, GGUF blocks, MatMulNBits, DequantizeLinear) lays out the same
// streams its own way.
//
// An encoded weight is seen as a matrix [rows, inputs]: `inputs` runs along the axis that the
// product sums over (a convolution's: the axes), `rows` over everything else in order. Streams are
// canonical:
// - codes: one unsigned byte per code, [rows, inputs] (a code may later stand for several weights)
// - scales: f32 values exact in `scale_type`, [rows, groups] (super-blocks: [rows, supers])
// - zero points: one byte each, [rows, groups]
// - minima: f32 values exact in `scale_type`, [rows, groups] (super-blocks: [rows, supers])
// - sub-scales, sub-minima: one byte each, [rows, groups] (super-blocks only)

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/dtype.h"
#include "support/expected.h"

namespace thimble::ir {

enum class EncodingKind : std::uint8_t {
  kDense,
  kAffine,
  kSuperBlock,
  kCodebook,
  kTernary,
  kSparse
};
enum class StreamKind : std::uint8_t {
  kDense,
  kCodes,
  kScales,
  kZeroPoints,
  kMinima,
  kSubScales,
  kSubMinima,
  kSigns,
  kMask,
  kCodebook
};

enum class ZeroKind : std::uint8_t {
  kConstant,  // w = scale * (code - constant_zero): symmetric
  kPoints,    // w = scale * (code - point): asymmetric with integer zero points
  kMinima,    // w = scale * code + minimum: asymmetric with a float minimum (GGUF's _1 types)
};

struct Encoding {
  EncodingKind kind = EncodingKind::kDense;
  int bits = 0;                 // of a code, 1..8
  std::int64_t group_size = 0;  // inputs that share a scale; 0: the whole row (per channel)
  bool per_tensor = false;  // one scale for the whole tensor (then rows share streams' first entry)
  ZeroKind zero = ZeroKind::kConstant;
  int constant_zero = 0;  // 2^(bits-1) for symmetric codes
  // kF16, kBF16 or kF32; with a table also a byte: kF8E8M0 (a power of two, MXFP4's) or kF8E4M3FN
  // times 2^scale_exponent (NVFP4's, whose tensor scale is such a power here). Bytes hold scales of
  // 0 and above.
  DType scale_type = DType::kF16;
  int scale_exponent = 0;  // kF8E4M3FN only
  // kSuperBlock: scale_g = d * (sub_scale_g - sub_scale_zero), minimum_g = -dmin * sub_minimum_g,
  // where a super-block of `super_size` inputs has one d (scales) and one dmin (minima; only with
  // kMinima).
  std::int64_t super_size = 0;
  int sub_bits = 0;
  int sub_scale_zero = 0;
  // kCodebook, and kSuperBlock with one: w = scale * table[code].
  std::vector<float> table;
  int axis = -1;  // of the weight's dims: the inputs; -1 is the last
  // The inputs are all dims but the first, in order: a convolution sums over channels and taps.
  // `axis` is -1 then.
  bool flat = false;

  static Encoding dense() { return {}; }
  bool is_dense() const { return kind == EncodingKind::kDense; }
  bool operator==(const Encoding&) const = default;

  std::int64_t groups(std::int64_t inputs) const;  // per row, the last may be shorter; at least 1
  std::int64_t group_width(std::int64_t inputs) const;  // group_size, or all inputs in one group
  std::int64_t supers(std::int64_t inputs) const;
  std::vector<StreamKind> streams() const;
  // Payload bits of a [rows, inputs] matrix in this encoding, packed without padding.
  std::uint64_t payload_bits(std::int64_t rows, std::int64_t inputs, DType dense_type) const;
  // "dense", "int4 group 32 symmetric f16", "uint4 per-channel points f16", ...
  std::string to_string() const;
  static Expected<Encoding> parse(std::string_view text);  // the inverse of to_string
};

}  // namespace thimble::ir
