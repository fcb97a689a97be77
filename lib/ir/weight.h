#pragma once
// A constant tensor: name, type, encoding and where its rows come from.
//
// A source is a span of the mapped file, rows held in memory or in the work file, or a pure thunk
// that computes rows from other rows on each use and is never cached. Asking for sizes touches no
// page; a pass streams one range of rows at a time and releases it. Sources are immutable and
// shared, thread-safe to read, and give the same bytes for the same rows on every call.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ir/dtype.h"
#include "ir/encoding.h"
#include "support/expected.h"

namespace thimble::ir {

// The streams of a range of rows, in the canonical form that encoding.h describes. Vectors that the
// encoding doesn't have are empty. For a dense weight `dense` views the rows' bytes (row-major, the
// weight's dtype, little-endian), kept alive by `owner` or by the source itself.
struct Rows {
  std::int64_t count = 0;
  std::span<const std::byte> dense;
  std::shared_ptr<const void> owner;
  std::vector<std::uint8_t> codes;
  std::vector<float> scales;
  std::vector<std::uint8_t> zero_points;
  std::vector<float> minima;
  std::vector<std::uint8_t> sub_scales;
  std::vector<std::uint8_t> sub_minima;
};

// Rows of a dense weight that hold their own elements.
template <class T>
Rows dense_rows(std::int64_t count, std::vector<T> elements) {
  auto owner = std::make_shared<const std::vector<T>>(std::move(elements));
  Rows rows;
  rows.count = count;
  rows.dense = std::as_bytes(std::span(*owner));
  rows.owner = std::move(owner);
  return rows;
}

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // Rows [begin, end); see Weight::rows() for what a row is.
  virtual Expected<Rows> read(std::int64_t begin, std::int64_t end) const = 0;
  // The caller is done with these rows for now: mapped pages may be dropped.
  virtual void release(std::int64_t begin, std::int64_t end) const { (void)begin, (void)end; }
  // All rows of a dense weight as they lie in a mapping or in memory; empty where reading computes
  // or copies.
  virtual std::span<const std::byte> in_place() const { return {}; }
  // Of a lossy encoding: |W - Q(W)|^2 / |W|^2, once every row was read.
  virtual std::optional<double> relative_error() const { return std::nullopt; }
  // "mapped model.safetensors @ 1234", for inspect and errors.
  virtual std::string describe() const = 0;
};

struct Weight {
  std::string name;
  DType dtype = DType::kF32;  // of a dense weight; of an encoded one, the type that it came from
  std::vector<std::int64_t> dims;  // each >= 0; empty for a scalar
  Encoding encoding;
  std::shared_ptr<const WeightSource> source;
  // Elements in the original float model (bits per weight counts these); 0 for constants that a
  // builder or pass made up.
  std::uint64_t source_parameters = 0;

  std::int64_t element_count() const;
  // The matrix view. Dense: rows along the first dimension, inputs all the rest (a vector or scalar
  // is one row). Encoded: inputs is dims[encoding.axis], rows the product of the others in order.
  std::int64_t rows() const;
  std::int64_t inputs() const;
  // How its numbers are stored: "f32", or the encoding as text.
  std::string scheme() const;
  // Bytes of the streams, packed without padding.
  std::uint64_t byte_size() const;
};

// A source over bytes in memory, [rows, ...] dense row-major.
std::shared_ptr<const WeightSource> owned_dense(std::vector<std::byte> bytes,
                                                std::uint64_t row_bytes);
// A source over encoded rows in memory (all rows of the weight).
std::shared_ptr<const WeightSource> owned_rows(const Weight& shape_and_encoding, Rows rows);

// A dense weight of our own making (constants of builders and passes).
Weight make_dense(std::string name, std::vector<std::int64_t> dims, std::span<const float> values);
Weight make_dense(std::string name, std::vector<std::int64_t> dims,
                  std::span<const std::int64_t> values);
// Of any type of whole bytes, from the elements' bytes, row-major and little-endian.
Weight make_dense(std::string name, DType type, std::vector<std::int64_t> dims,
                  std::vector<std::byte> bytes);

// All elements of a dense weight (any float or integer dtype) or of an encoded one, in the weight's
// own row-major order. For small tensors: constants, norms, tests.
Expected<std::vector<float>> read_floats(const Weight& weight);
Expected<std::vector<std::int64_t>> read_integers(const Weight& weight);

}  // namespace thimble::ir
