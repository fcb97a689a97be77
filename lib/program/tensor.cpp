// How many bytes the streams of a tensor take, by its layout (docs/FORMAT.md).

#include <algorithm>
#include <iterator>
#include <optional>

#include "program/program.h"
#include "support/checked.h"

namespace thimble::program {
namespace {

constexpr std::int64_t kTileRows = 16;
constexpr std::int64_t kBlock = 32;
constexpr std::size_t kTableEntries = 16;
constexpr std::int64_t kMost = std::int64_t{1} << 40;  // rows or inputs

using Bytes = std::optional<std::uint64_t>;  // nothing: more than 64 bits hold

std::uint64_t natural(std::int64_t value) { return static_cast<std::uint64_t>(value); }

Error fault(std::string message, const Tensor& tensor) {
  return invalid_file(std::move(message)).at_tensor(tensor.name);
}

Bytes times(Bytes a, Bytes b) { return a && b ? checked_mul(*a, *b) : std::nullopt; }

Bytes elements_of(const Tensor& tensor) {
  Bytes elements = 1;
  for (const std::int64_t dim : tensor.dims) elements = times(elements, natural(dim));
  return elements;
}

// Is the tensor a matrix of `rows` by `inputs`, whatever its dimensions are called?
bool is_matrix(const Tensor& tensor) {
  if (tensor.rows <= 0 || tensor.inputs <= 0 || tensor.rows >= kMost || tensor.inputs >= kMost)
    return false;
  const Bytes cells = times(natural(tensor.rows), natural(tensor.inputs));
  return cells && cells == elements_of(tensor);
}

// The rules of super-blocks and tables.
bool sound_scales(const Tensor& tensor) {
  const bool table =
      tensor.table.empty() || (tensor.bits <= 4 && tensor.zero == ZeroKind::kConstant &&
                               tensor.table.size() == kTableEntries);
  if (tensor.super_size == 0) return table && tensor.sub_bits == 0;
  const bool whole = tensor.super_size > 0 && (tensor.super_size >= tensor.inputs ||
                                               tensor.super_size % tensor.group_size == 0);
  return table && whole && (tensor.sub_bits == 4 || tensor.sub_bits == 6 || tensor.sub_bits == 8) &&
         tensor.sub_zero >= 0 && tensor.sub_zero <= 255 && tensor.zero != ZeroKind::kPoints;
}

bool is_float(Type type) { return type == Type::kF32 || type == Type::kF16 || type == Type::kBF16; }

// Scales of a byte go with tables alone.
bool sound_scale_type(const Tensor& tensor) {
  constexpr int kMostExponent = 100;  // scales stay normal numbers
  const bool moved = tensor.type == Type::kF8E4M3FN && tensor.scale_exponent >= -kMostExponent &&
                     tensor.scale_exponent <= kMostExponent;
  if (tensor.scale_exponent != 0 && !moved) return false;
  if (tensor.type == Type::kF8E8M0 || tensor.type == Type::kF8E4M3FN)
    return !tensor.table.empty() && tensor.super_size == 0;
  return is_float(tensor.type);
}

bool sound_tiles(const Tensor& tensor) {
  const bool groups =
      tensor.group_size == 16 || (tensor.group_size > 0 && tensor.group_size % kBlock == 0);
  return is_matrix(tensor) && tensor.bits >= 2 && tensor.bits <= 8 && groups &&
         sound_scale_type(tensor) && sound_scales(tensor);
}

bool sound_panels(const Tensor& tensor) {
  return is_float(tensor.type) && is_matrix(tensor) && tensor.group_size > 0 &&
         tensor.rows % tensor.group_size == 0;
}

std::uint64_t pieces(std::int64_t size, std::int64_t inputs) {
  return size >= inputs ? 1 : natural(ceil_div(inputs, size));
}

// Vectors of 16 bytes that the sub-scales of a tile of so many groups take.
std::uint64_t sub_vectors(std::uint64_t groups, int sub_bits) {
  if (sub_bits == 8) return groups;
  return ceil_div<std::uint64_t>(groups, 2) +
         (sub_bits == 6 ? ceil_div<std::uint64_t>(groups, 4) : 0);
}

Expected<std::vector<std::uint64_t>> panel_streams(const Tensor& tensor) {
  if (!sound_panels(tensor)) return fault("a tensor's panels break their rules", tensor);
  const std::int64_t panels =
      tensor.rows / tensor.group_size * ceil_div<std::int64_t>(tensor.group_size, kTileRows);
  const std::uint64_t column = natural(panels) * kTileRows * natural(type_bytes(tensor.type));
  const Bytes bytes = times(column, natural(tensor.inputs));
  if (!bytes) return fault("a tensor is too large", tensor);
  return std::vector<std::uint64_t>{*bytes};
}

Expected<std::vector<std::uint64_t>> coded_streams(const Tensor& tensor) {
  constexpr std::int64_t kStep = 4, kMostInputs = 65536;
  const bool sound = tensor.type == Type::kF32 && is_matrix(tensor) && tensor.dims.size() > 1 &&
                     tensor.dims[0] == tensor.rows && tensor.group_size > 0 &&
                     tensor.rows % tensor.group_size == 0 && tensor.inputs <= kMostInputs;
  if (!sound) return fault("a tensor's codes break their rules", tensor);
  const std::int64_t tiles =
      tensor.rows / tensor.group_size * ceil_div<std::int64_t>(tensor.group_size, kTileRows);
  const Bytes bytes =
      times(natural(tiles) * kTileRows, natural(ceil_div(tensor.inputs, kStep) * kStep));
  if (!bytes) return fault("a tensor is too large", tensor);
  return std::vector<std::uint64_t>{*bytes, natural(tensor.rows) * sizeof(float)};
}

Expected<std::vector<std::uint64_t>> tile_streams(const Tensor& tensor) {
  if (!sound_tiles(tensor)) return fault("a tensor's tiles break their rules", tensor);
  const bool super = tensor.super_size > 0;
  const std::uint64_t tiles = natural(ceil_div(tensor.rows, kTileRows));
  const std::uint64_t blocks = natural(ceil_div(tensor.inputs, kBlock));
  const std::uint64_t groups = pieces(tensor.group_size, tensor.inputs);
  const std::uint64_t supers = super ? pieces(tensor.super_size, tensor.inputs) : 0;
  const Bytes codes = times(tiles * blocks, 64 * natural(tensor.bits));
  const Bytes entries = times(tiles * groups, kTileRows);
  const Bytes scaled = super ? times(tiles * supers, kTileRows) : entries;
  const Bytes scales = times(scaled, natural(type_bytes(tensor.type)));
  if (!codes || !entries || !scales) return fault("a tensor is too large", tensor);
  std::vector<std::uint64_t> bytes = {*codes, *scales};
  if (tensor.zero == ZeroKind::kPoints) bytes.push_back(*entries);
  if (tensor.zero == ZeroKind::kMinima) bytes.push_back(*scales);
  if (!super) return bytes;
  // No more than a byte per group and row, which `entries` has checked.
  const std::uint64_t sub = tiles * sub_vectors(groups, tensor.sub_bits) * kTileRows;
  bytes.push_back(sub);
  if (tensor.zero == ZeroKind::kMinima) bytes.push_back(sub);
  return bytes;
}

}  // namespace

int type_bytes(Type type) {
  switch (type) {
    case Type::kF32:
    case Type::kI32:
    case Type::kU32:
      return 4;
    case Type::kF64:
    case Type::kI64:
    case Type::kU64:
      return 8;
    case Type::kF16:
    case Type::kBF16:
    case Type::kU16:
    case Type::kI16:
      return 2;
    case Type::kU8:
    case Type::kI8:
    case Type::kBool:
    case Type::kF8E4M3FN:
    case Type::kF8E4M3FNUZ:
    case Type::kF8E5M2:
    case Type::kF8E5M2FNUZ:
    case Type::kU4:
    case Type::kI4:
    case Type::kF4E2M1:
    case Type::kF8E8M0:
    case Type::kU2:
    case Type::kI2:
      return 1;
  }
  return 0;
}

std::string_view type_name(Type type) {
  constexpr std::string_view kNames[] = {
      "?",          "f32",    "u8",         "i8",  "u16", "i16",    "i32",    "i64",  "?",
      "bool",       "f16",    "f64",        "u32", "u64", "?",      "?",      "bf16", "f8e4m3fn",
      "f8e4m3fnuz", "f8e5m2", "f8e5m2fnuz", "u4",  "i4",  "f4e2m1", "f8e8m0", "u2",   "i2"};
  const auto index = static_cast<std::size_t>(type);
  return index < std::size(kNames) ? kNames[index] : "?";
}

Expected<std::vector<std::uint64_t>> stream_bytes(const Tensor& tensor) {
  if (type_bytes(tensor.type) == 0) return fault("a tensor has an unknown type", tensor);
  if (std::any_of(tensor.dims.begin(), tensor.dims.end(), [](std::int64_t dim) { return dim < 0; }))
    return fault("a tensor has a negative dimension", tensor);
  if (tensor.layout == Layout::kPanels) return panel_streams(tensor);
  if (tensor.layout == Layout::kTiles) return tile_streams(tensor);
  if (tensor.layout == Layout::kCoded) return coded_streams(tensor);
  const Bytes bytes = times(elements_of(tensor), natural(type_bytes(tensor.type)));
  if (!bytes) return fault("a tensor is too large", tensor);
  return std::vector<std::uint64_t>{*bytes};
}

}  // namespace thimble::program
