#pragma once
// The GGUF container, versions 2 and 3, little-endian: magic "GGUF", version u32, tensor count u64,
// key count u64; keys (string, type u32, value); tensors (name, rank u32, dims u64 fastest first,
// type u32, offset u64 from the data section); padding to `general.alignment`; the data section.
// A string is a u64 length and its bytes.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/gguf/blocks.h"
#include "support/mapped_file.h"

namespace thimble::formats::gguf {

// Numbered as in the file.
enum class ValueType : std::uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

// Views into the mapping.
struct Array {
  ValueType type = ValueType::kU8;
  std::uint64_t count = 0;
  std::span<const std::byte> bytes;       // numbers
  std::vector<std::string_view> strings;  // kString
};
using Value = std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, Array>;

struct Tensor {
  std::string name;
  const BlockType* type = nullptr;
  std::vector<std::int64_t> dims;  // row-major: slowest first
  std::uint64_t offset = 0;        // in the file
  std::uint64_t size = 0;          // bytes
};

struct Container {
  std::shared_ptr<const MappedFile> file;
  std::map<std::string, Value, std::less<>> values;
  std::map<std::string, Tensor, std::less<>> tensors;
};

// Everything is checked before it is believed: counts against the bytes that are left, types, dims,
// sizes, that tensors lie inside the file and don't overlap.
Expected<Container> read_container(const std::string& path);

// Typed access to a key. Absent: nullopt. Of another type or out of range: an error that names it.
Expected<std::optional<std::int64_t>> integer(const Container& container, std::string_view key);
Expected<std::optional<double>> real(const Container& container, std::string_view key);
Expected<std::optional<bool>> boolean(const Container& container, std::string_view key);
Expected<std::optional<std::string>> text(const Container& container, std::string_view key);
Expected<std::vector<std::int64_t>> integers(const Container& container, std::string_view key);
Expected<std::vector<float>> reals(const Container& container, std::string_view key);
Expected<std::vector<std::string>> texts(const Container& container, std::string_view key);

}  // namespace thimble::formats::gguf
