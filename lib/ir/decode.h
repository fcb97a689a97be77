#pragma once
// From a weight's streams to f32: the one decode function of every encoding.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ir/weight.h"

namespace thimble::ir {

// `out.size()` elements of a dense row-major array. Floats of any width (f64 rounds to nearest),
// integers, bool; types under 8 bits are packed low bits first. Strings and complex numbers are
// refused, as is a span that is too short.
Status decode_dense(DType type, std::span<const std::byte> bytes, std::span<float> out);

// And back: the bytes of `values` in f32, f16 or bf16, rounded to nearest, little-endian.
std::vector<std::byte> encode_floats(DType type, std::span<const float> values);

// Types narrower than a byte as a byte each, sign-extended where they are signed; `out.size()` of
// them. `packed` may be shorter: what isn't there stays.
void unpack_narrow(DType type, std::span<const std::byte> packed, std::span<std::byte> out);

// An error where a stream of `rows` is shorter than the encoding of rows of `inputs` weights asks.
Status check_streams(const Encoding& encoding, const Rows& rows, std::int64_t inputs);

// What turns the codes of a group into numbers: scale * (code - zero), or scale * code + minimum.
struct GroupParameters {
  float scale = 0;  // of super-blocks: the product of both scales
  float minimum = 0;
  int zero = 0;
};
// The groups of rows of `inputs` weights each, whose streams are there (check_streams).
class RowGroups {
 public:
  // Both live as long as this.
  RowGroups(const Encoding& encoding, const Rows& rows, std::int64_t inputs)
      : encoding_(encoding),
        rows_(rows),
        count_(encoding.groups(inputs)),
        supers_(encoding.supers(inputs)) {}
  std::int64_t count() const { return count_; }  // in a row
  GroupParameters at(std::int64_t row, std::int64_t group) const;

 private:
  const Encoding& encoding_;
  const Rows& rows_;
  std::int64_t count_, supers_;
};

// `rows.count` rows of `inputs` weights each into out [count, inputs]. `type` is that of a dense
// weight. Streams that are too short are refused.
Status decode_rows(const Encoding& encoding, DType type, const Rows& rows, std::int64_t inputs,
                   std::span<float> out);

}  // namespace thimble::ir
