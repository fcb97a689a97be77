#include "formats/gguf/container.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "formats/outside.h"
#include "support/checked.h"
#include "support/cursor.h"

namespace thimble::formats::gguf {
namespace {

constexpr std::uint64_t kMaxTensors = 1'000'000;
constexpr std::uint64_t kMaxKeys = 1'000'000;
constexpr std::uint64_t kMaxName = 256;
constexpr std::uint64_t kMaxKey = 65'535;
constexpr std::uint64_t kMaxAlignment = 65'536;
constexpr std::uint32_t kMaxRank = 8;

std::uint64_t size_of(ValueType type) {
  switch (type) {
    case ValueType::kU8:
    case ValueType::kI8:
    case ValueType::kBool:
      return 1;
    case ValueType::kU16:
    case ValueType::kI16:
      return 2;
    case ValueType::kU32:
    case ValueType::kI32:
    case ValueType::kF32:
      return 4;
    case ValueType::kU64:
    case ValueType::kI64:
    case ValueType::kF64:
      return 8;
    default:
      return 0;  // no fixed size
  }
}

Expected<std::string_view> read_string(Cursor& cursor) {
  THIMBLE_ASSIGN(const auto length, cursor.read<std::uint64_t>());
  return cursor.read_text(length);
}

Expected<Array> read_array(Cursor& cursor) {
  Array array;
  THIMBLE_ASSIGN(const auto type, cursor.read<std::uint32_t>());
  array.type = static_cast<ValueType>(type);
  THIMBLE_ASSIGN(array.count, cursor.read<std::uint64_t>());
  if (array.type == ValueType::kString) {
    if (array.count > cursor.remaining() / 8) {
      return invalid_file("a list claims more strings than the file can hold")
          .at_offset(cursor.offset());
    }
    array.strings.reserve(array.count);
    for (std::uint64_t i = 0; i < array.count; ++i) {
      THIMBLE_ASSIGN(const auto item, read_string(cursor));
      array.strings.push_back(item);
    }
    return array;
  }
  const std::uint64_t each = size_of(array.type);
  if (each == 0) {
    return invalid_file("a list's type is " + std::to_string(type)).at_offset(cursor.offset());
  }
  const auto bytes = checked_mul(array.count, each);
  if (!bytes) return invalid_file("a list is too long").at_offset(cursor.offset());
  THIMBLE_ASSIGN(array.bytes, cursor.read_bytes(*bytes));
  return array;
}

template <class Raw, class Kept>
Expected<Value> number(Cursor& cursor) {
  THIMBLE_ASSIGN(const auto raw, cursor.read<Raw>());
  return Value(static_cast<Kept>(raw));
}

Expected<Value> read_value(Cursor& cursor, ValueType type) {
  switch (type) {
    case ValueType::kU8:
      return number<std::uint8_t, std::uint64_t>(cursor);
    case ValueType::kI8:
      return number<std::int8_t, std::int64_t>(cursor);
    case ValueType::kU16:
      return number<std::uint16_t, std::uint64_t>(cursor);
    case ValueType::kI16:
      return number<std::int16_t, std::int64_t>(cursor);
    case ValueType::kU32:
      return number<std::uint32_t, std::uint64_t>(cursor);
    case ValueType::kI32:
      return number<std::int32_t, std::int64_t>(cursor);
    case ValueType::kU64:
      return number<std::uint64_t, std::uint64_t>(cursor);
    case ValueType::kI64:
      return number<std::int64_t, std::int64_t>(cursor);
    case ValueType::kF32:
      return number<float, double>(cursor);
    case ValueType::kF64:
      return number<double, double>(cursor);
    case ValueType::kBool: {
      THIMBLE_ASSIGN(const auto raw, cursor.read<std::uint8_t>());
      return Value(raw != 0);
    }
    case ValueType::kString: {
      THIMBLE_ASSIGN(const auto raw, read_string(cursor));
      return Value(raw);
    }
    case ValueType::kArray: {
      THIMBLE_ASSIGN(auto raw, read_array(cursor));
      return Value(std::move(raw));
    }
  }
  return invalid_file("a value's type is " + std::to_string(static_cast<std::uint32_t>(type)))
      .at_offset(cursor.offset());
}

Status read_values(Cursor& cursor, std::uint64_t count, Container& out) {
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t offset = cursor.offset();
    THIMBLE_ASSIGN(const auto key, read_string(cursor));
    if (key.empty() || key.size() > kMaxKey) {
      return invalid_file("a key is empty or too long").at_offset(offset);
    }
    THIMBLE_ASSIGN(const auto type, cursor.read<std::uint32_t>());
    THIMBLE_ASSIGN(auto value, read_value(cursor, static_cast<ValueType>(type)));
    if (!out.values.emplace(std::string(key), std::move(value)).second) {
      return invalid_file("key '" + std::string(key) + "' appears twice").at_offset(offset);
    }
  }
  return ok();
}

// Elements along the fastest dimension must fill whole blocks.
Expected<std::uint64_t> bytes_of(const Tensor& tensor) {
  std::optional<std::uint64_t> elements = 1;
  for (const std::int64_t dim : tensor.dims) {
    elements = elements ? checked_mul(*elements, static_cast<std::uint64_t>(dim)) : std::nullopt;
  }
  if (!elements || *elements > INT64_MAX) return invalid_file("has too many elements");
  const auto inner = static_cast<std::uint64_t>(tensor.dims.empty() ? 1 : tensor.dims.back());
  const auto block = static_cast<std::uint64_t>(tensor.type->elements);
  if (inner % block != 0) {
    return invalid_file("rows of " + std::to_string(inner) + " elements are not whole blocks of " +
                        std::string(tensor.type->name));
  }
  const auto bytes = checked_mul(*elements / block, static_cast<std::uint64_t>(tensor.type->bytes));
  if (!bytes) return invalid_file("is too large");
  return *bytes;
}

Expected<Tensor> read_tensor(Cursor& cursor) {
  Tensor tensor;
  const std::uint64_t offset = cursor.offset();
  THIMBLE_ASSIGN(const auto name, read_string(cursor));
  if (name.empty() || name.size() > kMaxName) {
    return invalid_file("a tensor's name is empty or too long").at_offset(offset);
  }
  tensor.name = std::string(name);
  const auto damaged = [&](const std::string& why) {
    return invalid_file(why).at_tensor(tensor.name).at_offset(offset);
  };
  THIMBLE_ASSIGN(const auto rank, cursor.read<std::uint32_t>());
  if (rank > kMaxRank) return damaged("has " + std::to_string(rank) + " dimensions");
  for (std::uint32_t i = 0; i < rank; ++i) {
    THIMBLE_ASSIGN(const auto dim, cursor.read<std::uint64_t>());
    if (dim == 0 || dim > INT64_MAX) return damaged("has a dimension of " + std::to_string(dim));
    tensor.dims.insert(tensor.dims.begin(), static_cast<std::int64_t>(dim));
  }
  THIMBLE_ASSIGN(const auto type, cursor.read<std::uint32_t>());
  THIMBLE_ASSIGN(tensor.offset, cursor.read<std::uint64_t>());
  auto known = find_block_type(type);
  if (!known) return std::move(known).error().at_tensor(tensor.name).at_offset(offset);
  tensor.type = *known;
  auto size = bytes_of(tensor);
  if (!size) return std::move(size).error().at_tensor(tensor.name).at_offset(offset);
  tensor.size = *size;
  return tensor;
}

Expected<std::uint64_t> alignment_of(const Container& container) {
  THIMBLE_ASSIGN(const auto given, integer(container, "general.alignment"));
  if (!given) return std::uint64_t{32};
  const auto alignment = static_cast<std::uint64_t>(*given);
  if (*given < 1 || alignment > kMaxAlignment || !std::has_single_bit(alignment)) {
    return invalid_file("general.alignment is " + std::to_string(*given) +
                        "; it must be a power of two up to " + std::to_string(kMaxAlignment));
  }
  return alignment;
}

// Offsets become places in the file. One sort finds overlaps; between tensors there is at most the
// padding that alignment asks for.
Status place_tensors(std::uint64_t header_end, std::uint64_t alignment, Container& container) {
  const std::uint64_t total = container.file->size();
  if (container.tensors.empty()) return ok();
  const auto base = checked_round_up(header_end, alignment);
  if (!base || *base > total) return invalid_file("truncated: the data section is missing");
  std::vector<Tensor*> sorted;
  for (auto& [name, tensor] : container.tensors) {
    if (tensor.offset % alignment != 0) {
      return invalid_file("its offset is not aligned").at_tensor(name);
    }
    const auto place = checked_add(*base, tensor.offset);
    if (!place || !range_inside(*place, tensor.size, total)) return outside_file().at_tensor(name);
    tensor.offset = *place;
    sorted.push_back(&tensor);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const Tensor* a, const Tensor* b) { return a->offset < b->offset; });
  std::uint64_t end = *base;
  for (const Tensor* tensor : sorted) {
    if (tensor->offset < end) {
      return invalid_file("overlaps another tensor").at_tensor(tensor->name).at_offset(end);
    }
    if (tensor->offset - end >= alignment) {
      return invalid_file("there is a hole before it").at_tensor(tensor->name).at_offset(end);
    }
    end = tensor->offset + tensor->size;
  }
  return ok();
}

Status read_all(Container& container) {
  Cursor cursor(container.file->bytes());
  THIMBLE_ASSIGN(const auto magic, cursor.read_text(4));
  if (magic != "GGUF") return invalid_file("does not start with GGUF");
  THIMBLE_ASSIGN(const auto version, cursor.read<std::uint32_t>());
  if (version != 2 && version != 3) {
    const bool swapped = (version & 0xffffu) == 0 && version != 0;
    return unsupported(swapped ? std::string("big-endian GGUF is not supported")
                               : "GGUF version " + std::to_string(version) +
                                     " is not supported; versions are 2 and 3");
  }
  THIMBLE_ASSIGN(const auto tensors, cursor.read<std::uint64_t>());
  THIMBLE_ASSIGN(const auto keys, cursor.read<std::uint64_t>());
  // A key takes at least 13 bytes, a tensor 25.
  if (keys > kMaxKeys || keys > cursor.remaining() / 13 || tensors > kMaxTensors ||
      tensors > cursor.remaining() / 24) {
    return invalid_file("the header claims " + std::to_string(keys) + " keys and " +
                        std::to_string(tensors) + " tensors");
  }
  THIMBLE_TRY(read_values(cursor, keys, container));
  for (std::uint64_t i = 0; i < tensors; ++i) {
    THIMBLE_ASSIGN(Tensor tensor, read_tensor(cursor));
    std::string name = tensor.name;
    if (!container.tensors.emplace(name, std::move(tensor)).second) {
      return invalid_file("a tensor appears twice").at_tensor(name);
    }
  }
  THIMBLE_ASSIGN(const std::uint64_t alignment, alignment_of(container));
  return place_tensors(cursor.offset(), alignment, container);
}

Error wrong_type(const Container& container, std::string_view key, const char* wanted) {
  return invalid_file("'" + std::string(key) + "' is not " + wanted).in(container.file->path());
}

const Value* find(const Container& container, std::string_view key) {
  const auto at = container.values.find(key);
  return at == container.values.end() ? nullptr : &at->second;
}

template <class Raw, class Out>
void widen(const Array& array, std::vector<Out>& out) {
  for (std::uint64_t i = 0; i < array.count; ++i) {
    Raw raw;
    std::memcpy(&raw, array.bytes.data() + i * sizeof(Raw), sizeof(Raw));
    out.push_back(static_cast<Out>(raw));
  }
}

}  // namespace

Expected<Container> read_container(const std::string& path) {
  Container container;
  THIMBLE_ASSIGN(container.file, MappedFile::open(path));
  if (Status status = read_all(container); !status) return std::move(status).error().in(path);
  return container;
}

Expected<std::optional<std::int64_t>> integer(const Container& container, std::string_view key) {
  const Value* value = find(container, key);
  if (value == nullptr) return std::optional<std::int64_t>();
  if (const auto* n = std::get_if<std::int64_t>(value)) return std::optional(*n);
  if (const auto* n = std::get_if<std::uint64_t>(value); n != nullptr && *n <= INT64_MAX) {
    return std::optional(static_cast<std::int64_t>(*n));
  }
  return wrong_type(container, key, "a whole number");
}

Expected<std::optional<double>> real(const Container& container, std::string_view key) {
  const Value* value = find(container, key);
  if (value == nullptr) return std::optional<double>();
  if (const auto* n = std::get_if<double>(value)) return std::optional(*n);
  THIMBLE_ASSIGN(const auto whole, integer(container, key));
  return std::optional(static_cast<double>(*whole));
}

Expected<std::optional<bool>> boolean(const Container& container, std::string_view key) {
  const Value* value = find(container, key);
  if (value == nullptr) return std::optional<bool>();
  if (const auto* b = std::get_if<bool>(value)) return std::optional(*b);
  return wrong_type(container, key, "true or false");
}

Expected<std::optional<std::string>> text(const Container& container, std::string_view key) {
  const Value* value = find(container, key);
  if (value == nullptr) return std::optional<std::string>();
  if (const auto* s = std::get_if<std::string_view>(value)) return std::optional(std::string(*s));
  return wrong_type(container, key, "text");
}

Expected<std::vector<std::int64_t>> integers(const Container& container, std::string_view key) {
  std::vector<std::int64_t> out;
  const Value* value = find(container, key);
  if (value == nullptr) return out;
  const auto* array = std::get_if<Array>(value);
  if (array == nullptr) return wrong_type(container, key, "a list");
  switch (array->type) {
    case ValueType::kI32:
      widen<std::int32_t>(*array, out);
      return out;
    case ValueType::kU32:
      widen<std::uint32_t>(*array, out);
      return out;
    case ValueType::kI64:
      widen<std::int64_t>(*array, out);
      return out;
    case ValueType::kBool:
    case ValueType::kU8:
      widen<std::uint8_t>(*array, out);
      return out;
    default:
      return wrong_type(container, key, "a list of whole numbers");
  }
}

Expected<std::vector<float>> reals(const Container& container, std::string_view key) {
  std::vector<float> out;
  const Value* value = find(container, key);
  if (value == nullptr) return out;
  const auto* array = std::get_if<Array>(value);
  if (array == nullptr || array->type != ValueType::kF32) {
    return wrong_type(container, key, "a list of numbers");
  }
  widen<float>(*array, out);
  return out;
}

Expected<std::vector<std::string>> texts(const Container& container, std::string_view key) {
  const Value* value = find(container, key);
  if (value == nullptr) return std::vector<std::string>();
  const auto* array = std::get_if<Array>(value);
  if (array == nullptr || array->type != ValueType::kString) {
    return wrong_type(container, key, "a list of texts");
  }
  return std::vector<std::string>(array->strings.begin(), array->strings.end());
}

}  // namespace thimble::formats::gguf
