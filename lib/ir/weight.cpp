#include "ir/weight.h"

#include <cstring>
#include <limits>

#include "ir/decode.h"
#include "support/checked.h"

namespace thimble::ir {
namespace {

// Products of dims that a file could make overflow stop at the largest number: nothing that large
// exists.
std::int64_t product(std::span<const std::int64_t> dims) {
  std::int64_t total = 1;
  for (const std::int64_t dim : dims) {
    total = checked_mul(total, dim).value_or(std::numeric_limits<std::int64_t>::max());
  }
  return total;
}

std::size_t axis_of(const Weight& weight) {
  const auto rank = static_cast<std::int64_t>(weight.dims.size());
  const std::int64_t axis =
      weight.encoding.axis < 0 ? weight.encoding.axis + rank : weight.encoding.axis;
  THIMBLE_CHECK(axis >= 0 && axis < rank, "encoding axis of weight '" + weight.name + "'");
  return static_cast<std::size_t>(axis);
}

class OwnedDense : public WeightSource {
 public:
  OwnedDense(std::vector<std::byte> bytes, std::uint64_t row_bytes)
      : bytes_(std::move(bytes)), row_bytes_(row_bytes) {}
  Expected<Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_CHECK(
        begin >= 0 && begin <= end && static_cast<std::uint64_t>(end) * row_bytes_ <= bytes_.size(),
        "rows lie in the weight");
    Rows rows;
    rows.count = end - begin;
    rows.dense = std::span(bytes_).subspan(static_cast<std::size_t>(begin) * row_bytes_,
                                           static_cast<std::size_t>(rows.count) * row_bytes_);
    return rows;
  }
  std::span<const std::byte> in_place() const override { return bytes_; }
  std::string describe() const override { return "in memory"; }

 private:
  std::vector<std::byte> bytes_;
  std::uint64_t row_bytes_;
};

template <class T>
std::vector<T> slice(const std::vector<T>& all, std::int64_t begin, std::int64_t end,
                     std::int64_t total) {
  if (all.empty() || total == 0) return {};
  const auto per_row = static_cast<std::int64_t>(all.size()) / total;
  return {all.begin() + begin * per_row, all.begin() + end * per_row};
}

class OwnedRows : public WeightSource {
 public:
  OwnedRows(bool per_tensor, Rows rows) : per_tensor_(per_tensor), rows_(std::move(rows)) {}
  Expected<Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_CHECK(begin >= 0 && begin <= end && end <= rows_.count, "rows lie in the weight");
    Rows out;
    out.count = end - begin;
    const auto part = [&](const auto& stream) { return slice(stream, begin, end, rows_.count); };
    const auto group_part = [&](const auto& stream) { return per_tensor_ ? stream : part(stream); };
    out.codes = part(rows_.codes);
    out.scales = group_part(rows_.scales);
    out.zero_points = group_part(rows_.zero_points);
    out.minima = group_part(rows_.minima);
    out.sub_scales = part(rows_.sub_scales);
    out.sub_minima = part(rows_.sub_minima);
    return out;
  }
  std::string describe() const override { return "in memory"; }

 private:
  bool per_tensor_;
  Rows rows_;
};

template <class T>
Weight make_typed(std::string name, std::vector<std::int64_t> dims, std::span<const T> values,
                  DType type) {
  const auto bytes = std::as_bytes(values);
  return make_dense(std::move(name), type, std::move(dims), {bytes.begin(), bytes.end()});
}

template <class T>
void widen(std::span<const std::byte> bytes, std::vector<std::int64_t>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<std::int64_t>(value);
  }
}

Expected<Rows> read_all(const Weight& weight) {
  if (weight.source == nullptr) {
    return invalid_argument("the values of this weight are not known").at_tensor(weight.name);
  }
  return weight.source->read(0, weight.rows());
}

}  // namespace

std::int64_t Weight::element_count() const { return product(dims); }

std::string Weight::scheme() const {
  return encoding.is_dense() ? std::string(dtype_name(dtype)) : encoding.to_string();
}

std::int64_t Weight::rows() const {
  if (encoding.is_dense() || encoding.flat) return dims.size() < 2 ? 1 : dims[0];
  std::vector<std::int64_t> others = dims;
  others.erase(others.begin() + static_cast<std::ptrdiff_t>(axis_of(*this)));
  return product(others);
}

std::int64_t Weight::inputs() const {
  if (!encoding.is_dense() && !encoding.flat) return dims[axis_of(*this)];
  return dims.size() < 2 ? product(dims) : product(std::span(dims).subspan(1));
}

std::uint64_t Weight::byte_size() const {
  return ceil_div<std::uint64_t>(encoding.payload_bits(rows(), inputs(), dtype), 8);
}

std::shared_ptr<const WeightSource> owned_dense(std::vector<std::byte> bytes,
                                                std::uint64_t row_bytes) {
  return std::make_shared<OwnedDense>(std::move(bytes), row_bytes);
}

std::shared_ptr<const WeightSource> owned_rows(const Weight& shape_and_encoding, Rows rows) {
  rows.count = shape_and_encoding.rows();
  return std::make_shared<OwnedRows>(shape_and_encoding.encoding.per_tensor, std::move(rows));
}

Weight make_dense(std::string name, std::vector<std::int64_t> dims, std::span<const float> values) {
  return make_typed(std::move(name), std::move(dims), values, DType::kF32);
}

Weight make_dense(std::string name, std::vector<std::int64_t> dims,
                  std::span<const std::int64_t> values) {
  return make_typed(std::move(name), std::move(dims), values, DType::kI64);
}

Weight make_dense(std::string name, DType type, std::vector<std::int64_t> dims,
                  std::vector<std::byte> bytes) {
  Weight weight;
  weight.name = std::move(name);
  weight.dtype = type;
  weight.dims = std::move(dims);
  THIMBLE_CHECK(weight.byte_size() == bytes.size(), "dims of '" + weight.name + "' fit its values");
  const std::uint64_t row_bytes =
      static_cast<std::uint64_t>(weight.inputs() * dtype_bits(type)) / 8;
  weight.source = owned_dense(std::move(bytes), row_bytes);
  return weight;
}

Expected<std::vector<float>> read_floats(const Weight& weight) {
  THIMBLE_ASSIGN(const Rows rows, read_all(weight));
  std::vector<float> matrix(static_cast<std::size_t>(weight.element_count()));
  if (Status status = decode_rows(weight.encoding, weight.dtype, rows, weight.inputs(), matrix);
      !status) {
    return std::move(status).error().at_tensor(weight.name);
  }
  const Encoding& encoding = weight.encoding;
  if (encoding.is_dense() || encoding.flat || axis_of(weight) + 1 == weight.dims.size())
    return matrix;
  // The inputs lie along another axis than the last: [outer, inner, inputs] to [outer, inputs,
  // inner].
  const auto inputs = static_cast<std::size_t>(weight.inputs());
  const auto inner =
      static_cast<std::size_t>(product(std::span(weight.dims).subspan(axis_of(weight) + 1)));
  std::vector<float> out(matrix.size());
  for (std::size_t row = 0; row * inputs < matrix.size(); ++row) {
    float* first = out.data() + row / inner * inputs * inner + row % inner;
    for (std::size_t k = 0; k < inputs; ++k) first[k * inner] = matrix[row * inputs + k];
  }
  return out;
}

Expected<std::vector<std::int64_t>> read_integers(const Weight& weight) {
  const auto refused = [&] {
    return unsupported("a weight of " + std::string(dtype_name(weight.dtype)) + ", " +
                       weight.encoding.to_string() + ", is not integers")
        .at_tensor(weight.name);
  };
  if (!weight.encoding.is_dense()) return refused();
  THIMBLE_ASSIGN(const Rows rows, read_all(weight));
  std::vector<std::int64_t> out(static_cast<std::size_t>(weight.element_count()));
  const std::uint64_t want = weight.byte_size();
  if (rows.dense.size() < want) {
    return invalid_file("a weight's rows are too short").at_tensor(weight.name);
  }
  switch (weight.dtype) {
    case DType::kBool:
    case DType::kU8:
      widen<std::uint8_t>(rows.dense, out);
      break;
    case DType::kI8:
      widen<std::int8_t>(rows.dense, out);
      break;
    case DType::kU16:
      widen<std::uint16_t>(rows.dense, out);
      break;
    case DType::kI16:
      widen<std::int16_t>(rows.dense, out);
      break;
    case DType::kU32:
      widen<std::uint32_t>(rows.dense, out);
      break;
    case DType::kI32:
      widen<std::int32_t>(rows.dense, out);
      break;
    case DType::kU64:
    case DType::kI64:
      widen<std::int64_t>(rows.dense, out);
      break;
    default:
      return refused();
  }
  return out;
}

}  // namespace thimble::ir
