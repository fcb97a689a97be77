#include "formats/onnx/tensors.h"

#include <charconv>

#include "formats/safetensors/reader.h"
#include "ir/decode.h"
#include "support/checked.h"
#include "support/wire.h"

namespace thimble::formats::onnx {
namespace {

constexpr std::size_t kMaxRank = 64;

// The field of TensorProto that holds typed data, and how one number of it is written.
struct TypedField {
  std::uint32_t number = 0;
  wire::Type wire = wire::Type::kVarint;
  std::size_t bytes = 0;  // of a number in the tensor's own bytes
};

TypedField typed_field(ir::DType type) {
  const auto bytes = static_cast<std::size_t>(std::max(8, ir::dtype_bits(type)) / 8);
  switch (type) {
    case ir::DType::kF32:
      return {4, wire::Type::kFixed32, 4};
    case ir::DType::kF64:
      return {10, wire::Type::kFixed64, 8};
    case ir::DType::kI64:
      return {7, wire::Type::kVarint, 8};
    case ir::DType::kU32:
    case ir::DType::kU64:
      return {11, wire::Type::kVarint, bytes};
    default:
      return {5, wire::Type::kVarint, bytes};
  }
}

Expected<std::uint64_t> byte_count(const TensorInfo& tensor, ir::DType type) {
  if (tensor.dims.size() > kMaxRank) return invalid_file("it has too many dimensions");
  // Of the dimensions that aren't 0: their product may not overflow, whatever the order.
  std::optional<std::int64_t> bits = ir::dtype_bits(type);
  bool empty = false;
  for (const std::int64_t dim : tensor.dims) {
    if (dim < 0) return invalid_file("a dimension is negative");
    empty = empty || dim == 0;
    bits = bits && dim > 0 ? checked_mul(*bits, dim) : bits;
  }
  if (!bits) return invalid_file("its dimensions are impossible");
  return empty ? 0 : static_cast<std::uint64_t>(*bits / 8 + (*bits % 8 != 0));
}

// Numbers of `width` bytes, little-endian, as many as `size` bytes hold.
Expected<std::vector<std::byte>> typed_bytes(const TensorInfo& tensor, const TypedField& typed,
                                             std::uint64_t size) {
  std::vector<std::byte> out;
  THIMBLE_TRY(
      wire::each_field(tensor.message, tensor.offset, [&](const wire::Field& field) -> Status {
        if (field.number != typed.number) return ok();
        return wire::each_number(field, typed.wire, [&](std::uint64_t value) -> Status {
          if (out.size() >= size) return invalid_file("it holds more numbers than its shape says");
          const std::uint64_t high = typed.bytes == 8 ? 0 : value >> (8 * typed.bytes - 1) >> 1;
          const bool negative = static_cast<std::int64_t>(value) < 0;
          if (high != 0 && !negative) return invalid_file("a number doesn't fit its type");
          for (std::size_t i = 0; i < typed.bytes; ++i) {
            out.push_back(static_cast<std::byte>(value >> (8 * i)));
          }
          return ok();
        });
      }));
  if (out.size() != size) return invalid_file("it holds fewer numbers than its shape says");
  return out;
}

Expected<std::uint64_t> decimal(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return invalid_file("external data has an offset or length that is no number");
  }
  return value;
}

Expected<TensorEntry> external_entry(const TensorInfo& tensor, ExternalFiles& files,
                                     std::uint64_t size) {
  TensorEntry entry;
  std::string_view location;
  std::optional<std::uint64_t> length;
  for (const KeyValue& pair : tensor.external_data) {
    if (pair.key == "location") location = pair.value;
    if (pair.key == "offset") {
      THIMBLE_ASSIGN(entry.offset, decimal(pair.value));
    } else if (pair.key == "length") {
      THIMBLE_ASSIGN(length, decimal(pair.value));
    }
  }
  if (tensor.raw_data && !tensor.raw_data->empty()) {
    return invalid_file("its data lies both in the model and outside");
  }
  if (length && *length != size) {
    return invalid_file("its external data has " + std::to_string(*length) + " bytes, its shape " +
                        std::to_string(size));
  }
  THIMBLE_ASSIGN(entry.file, files.open(location));
  if (!range_inside(entry.offset, size, entry.file->size())) {
    return invalid_file("its bytes lie beyond the end of the external file")
        .in(entry.file->path())
        .at_offset(entry.offset);
  }
  return entry;
}

Expected<ir::Weight> dense_weight(const TensorInfo& tensor, TensorFiles& files) {
  THIMBLE_ASSIGN(const ir::DType type, dtype_of(tensor.data_type));
  THIMBLE_ASSIGN(const std::uint64_t size, byte_count(tensor, type));
  if (tensor.segmented) return unsupported("it comes in segments");
  ir::Weight weight;
  weight.name = tensor.name;
  weight.dtype = type;
  weight.dims = tensor.dims;
  if (!tensor.external && !tensor.raw_data) {
    THIMBLE_ASSIGN(auto bytes, typed_bytes(tensor, typed_field(type), size));
    const auto rows = static_cast<std::uint64_t>(weight.rows());
    weight.source = ir::owned_dense(std::move(bytes), rows == 0 ? 0 : size / rows);
    return weight;
  }
  TensorEntry entry;
  if (tensor.external) {
    THIMBLE_ASSIGN(entry, external_entry(tensor, files.external, size));
  } else {
    if (tensor.raw_data->size() != size) {
      return invalid_file("it holds " + std::to_string(tensor.raw_data->size()) +
                          " bytes, its shape says " + std::to_string(size));
    }
    entry.file = files.file;
    entry.offset =
        size == 0
            ? 0
            : static_cast<std::uint64_t>(tensor.raw_data->data() - files.file->bytes().data());
  }
  entry.dtype = type;
  entry.dims = tensor.dims;
  entry.size = size;
  return mapped_weight(std::move(weight.name), entry);
}

bool rows_fill_bytes(const ir::Weight& weight) {
  const int bits = ir::dtype_bits(weight.dtype);
  return bits >= 8 || weight.rows() <= 1 || weight.inputs() % (8 / bits) == 0;
}

// Integers whose rows begin inside a byte, a byte each.
std::optional<ir::Weight> widened(const ir::Weight& weight) {
  const bool is_signed = weight.dtype == ir::DType::kI4 || weight.dtype == ir::DType::kI2;
  if (!is_signed && weight.dtype != ir::DType::kU4 && weight.dtype != ir::DType::kU2)
    return std::nullopt;
  std::vector<std::byte> bytes(static_cast<std::size_t>(weight.element_count()));
  ir::unpack_narrow(weight.dtype, weight.source->in_place(), bytes);
  return ir::make_dense(weight.name, is_signed ? ir::DType::kI8 : ir::DType::kU8, weight.dims,
                        std::move(bytes));
}

// A tensor whose rows begin inside a byte: all of it or nothing.
class WholeSource : public ir::WeightSource {
 public:
  explicit WholeSource(const ir::Weight& of)
      : inner_(of.source), rows_(of.rows()), bytes_(inner_->in_place()) {}
  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    if (begin != 0 || end != rows_) return unsupported("rows begin inside a byte");
    ir::Rows rows;
    rows.count = rows_;
    rows.dense = bytes_;
    rows.owner = inner_;
    return rows;
  }
  std::span<const std::byte> in_place() const override { return bytes_; }
  std::string describe() const override { return inner_->describe(); }

 private:
  std::shared_ptr<const ir::WeightSource> inner_;
  std::int64_t rows_;
  std::span<const std::byte> bytes_;
};

Error named(Error error, const TensorInfo& tensor) {
  return std::move(error).at_tensor(std::string(tensor.name));
}

// Indices, shapes and flags are no parameters.
bool is_parameter_type(ir::DType type) {
  return ir::dtype_is_float(type) || (ir::dtype_bits(type) <= 8 && type != ir::DType::kBool);
}

}  // namespace

Expected<ir::DType> dtype_of(std::int64_t data_type) {
  if (data_type <= 0 || data_type > static_cast<std::int64_t>(ir::DType::kI2)) {
    return unsupported("element type " + std::to_string(data_type) + " is not known");
  }
  const auto type = static_cast<ir::DType>(data_type);
  if (type == ir::DType::kString) return unsupported("tensors of strings are not supported");
  if (type == ir::DType::kC64 || type == ir::DType::kC128) {
    return unsupported("complex numbers are not supported");
  }
  return type;
}

Expected<ir::Weight> weight_of(const TensorInfo& tensor, TensorFiles& files) {
  Expected<ir::Weight> weight = dense_weight(tensor, files);
  if (!weight) return named(std::move(weight).error(), tensor);
  if (!rows_fill_bytes(*weight)) {
    if (std::optional<ir::Weight> wide = widened(*weight)) {
      wide->source_parameters = static_cast<std::uint64_t>(wide->element_count());
      return *std::move(wide);
    }
    return named(unsupported("its rows of " + std::string(ir::dtype_name(weight->dtype)) +
                             " don't fill whole bytes"),
                 tensor);
  }
  weight->source_parameters =
      is_parameter_type(weight->dtype) ? static_cast<std::uint64_t>(weight->element_count()) : 0;
  return weight;
}

Expected<ir::Weight> read_tensor(const std::string& path) {
  TensorFiles files{nullptr, ExternalFiles(path)};
  THIMBLE_ASSIGN(files.file, MappedFile::open(path));
  const auto read = [&]() -> Expected<ir::Weight> {
    THIMBLE_ASSIGN(const TensorInfo tensor, parse_tensor(files.file->bytes()));
    // SequenceProto and OptionalProto hold tensors in the field that TensorProto has for segments.
    if (tensor.segmented) {
      return unsupported("not a TensorProto: sequences and optionals are not supported");
    }
    Expected<ir::Weight> whole = dense_weight(tensor, files);
    if (!whole) return named(std::move(whole).error(), tensor);
    if (!rows_fill_bytes(*whole)) whole->source = std::make_shared<WholeSource>(*whole);
    return whole;
  };
  Expected<ir::Weight> weight = read();
  if (!weight) return std::move(weight).error().in(path);
  return weight;
}

}  // namespace thimble::formats::onnx
