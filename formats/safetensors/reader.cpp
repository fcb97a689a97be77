#include "formats/safetensors/reader.h"

#include <algorithm>
#include <filesystem>

#include "formats/outside.h"
#include "support/checked.h"
#include "support/cursor.h"
#include "text/json.h"

namespace thimble::formats {
namespace {

using text::Json;

constexpr std::uint64_t kMaxHeader = 100'000'000;
constexpr std::size_t kMaxTensors = 1'000'000;
constexpr std::size_t kMaxName = 512;
constexpr std::size_t kMaxRank = 8;

struct DTypeName {
  std::string_view name;
  ir::DType type;
  int six_bits = 0;
};
constexpr DTypeName kTypes[] = {
    {"F64", ir::DType::kF64},
    {"F32", ir::DType::kF32},
    {"F16", ir::DType::kF16},
    {"BF16", ir::DType::kBF16},
    {"I64", ir::DType::kI64},
    {"I32", ir::DType::kI32},
    {"I16", ir::DType::kI16},
    {"I8", ir::DType::kI8},
    {"U8", ir::DType::kU8},
    {"U16", ir::DType::kU16},
    {"U32", ir::DType::kU32},
    {"U64", ir::DType::kU64},
    {"BOOL", ir::DType::kBool},
    {"F8_E4M3", ir::DType::kF8E4M3FN},
    {"F8_E5M2", ir::DType::kF8E5M2},
    {"F8_E8M0", ir::DType::kF8E8M0},
    {"F4", ir::DType::kF4E2M1},
    {"F8_E4M3FNUZ", ir::DType::kF8E4M3FNUZ},
    {"C64", ir::DType::kC64},
    {"F8_E5M2FNUZ", ir::DType::kF8E5M2FNUZ},
    // Every number of these is one of F8_E4M3's.
    {"F6_E2M3", ir::DType::kF8E4M3FN, 3},
    {"F6_E3M2", ir::DType::kF8E4M3FN, 2},
};

Expected<DTypeName> dtype_of(const std::string& name) {
  std::string known;
  for (const DTypeName& entry : kTypes) {
    if (entry.name == name) return entry;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return unsupported("element type " + name + " is not supported; types are " + known);
}

Expected<std::vector<std::uint64_t>> unsigned_list(const Json& json, const char* key,
                                                   std::size_t most) {
  if (!json.contains(key) || !json[key].is_array() || json[key].size() > most)
    return invalid_file(std::string("'") + key + "' is missing or damaged");
  std::vector<std::uint64_t> out;
  for (const Json& item : json[key]) {
    if (!item.is_number_unsigned())
      return invalid_file(std::string("'") + key + "' holds something that isn't a whole number");
    out.push_back(item.get<std::uint64_t>());
  }
  return out;
}

Expected<TensorEntry> entry_of(const Json& json, std::uint64_t base, std::uint64_t data_size) {
  if (!json.is_object() || !json.contains("dtype") || !json["dtype"].is_string())
    return invalid_file("has no dtype");
  TensorEntry entry;
  THIMBLE_ASSIGN(const DTypeName type, dtype_of(json["dtype"].get<std::string>()));
  entry.dtype = type.type;
  entry.six_bits = type.six_bits;
  THIMBLE_ASSIGN(const auto dims, unsigned_list(json, "shape", kMaxRank));
  THIMBLE_ASSIGN(const auto offsets, unsigned_list(json, "data_offsets", 2));
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_size)
    return outside_file();
  std::optional<std::uint64_t> bits =
      entry.six_bits > 0 ? 6 : static_cast<std::uint64_t>(ir::dtype_bits(entry.dtype));
  for (const std::uint64_t dim : dims) {
    const auto narrow = checked_cast<std::int64_t>(dim);
    bits = bits && narrow ? checked_mul(*bits, dim) : std::nullopt;
    entry.dims.push_back(narrow.value_or(0));
  }
  entry.offset = base + offsets[0];
  entry.size = offsets[1] - offsets[0];
  if (!bits || *bits % 8 != 0 || *bits / 8 != entry.size)
    return invalid_file("its size isn't what its shape says");
  return entry;
}

// Sorted once by offset: each tensor begins where the one before ends, the last at the end of the
// file.
Status check_coverage(std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges,
                      std::uint64_t base, std::uint64_t end) {
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t at = base;
  for (const auto& [offset, size] : ranges) {
    if (offset != at)
      return invalid_file(offset < at ? "two tensors overlap"
                                      : "there is a hole between two tensors")
          .at_offset(std::min(at, offset));
    at = offset + size;
  }
  return at == end ? ok()
                   : Status(invalid_file("there are bytes that belong to no tensor").at_offset(at));
}

Status read_mapped(const std::shared_ptr<const MappedFile>& file, TensorMap& tensors) {
  Cursor cursor(file->bytes());
  THIMBLE_ASSIGN(const auto length, cursor.read<std::uint64_t>());
  if (length > kMaxHeader)
    return invalid_file("the header claims " + std::to_string(length) +
                        " bytes; 100,000,000 is the limit");
  THIMBLE_ASSIGN(const auto header, cursor.read_text(length));
  if (header.empty() || header.front() != '{')
    return invalid_file("the header does not start with '{'").at_offset(8);
  THIMBLE_ASSIGN(const Json json, text::parse_json(header, file->path()));
  if (!json.is_object() || json.size() > kMaxTensors)
    return invalid_file("the header is not a map of at most a million tensors");
  const std::uint64_t base = 8 + length;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") continue;
    if (name.size() > kMaxName) return invalid_file("a tensor's name is too long");
    auto entry = entry_of(value, base, file->size() - base);
    if (!entry) return std::move(entry).error().at_tensor(name);
    entry->file = file;
    ranges.emplace_back(entry->offset, entry->size);
    if (!tensors.emplace(name, std::move(*entry)).second)
      return invalid_file("two shards hold the same tensor").at_tensor(name);
  }
  return check_coverage(std::move(ranges), base, file->size());
}

class MappedSource : public ir::WeightSource {
 public:
  MappedSource(TensorEntry entry, std::int64_t rows)
      : entry_(std::move(entry)),
        row_bytes_(rows > 0 ? entry_.size / static_cast<std::uint64_t>(rows) : 0) {}
  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    ir::Rows rows;
    rows.count = end - begin;
    rows.dense = in_place().subspan(static_cast<std::size_t>(begin) * row_bytes_,
                                    static_cast<std::size_t>(end - begin) * row_bytes_);
    rows.owner = entry_.file;
    return rows;
  }
  void release(std::int64_t begin, std::int64_t end) const override {
    entry_.file->release(entry_.offset + static_cast<std::uint64_t>(begin) * row_bytes_,
                         static_cast<std::uint64_t>(end - begin) * row_bytes_);
  }
  std::span<const std::byte> in_place() const override {
    return entry_.file->bytes().subspan(entry_.offset, entry_.size);
  }
  std::string describe() const override {
    return entry_.file->path() + " @ " + std::to_string(entry_.offset);
  }

 private:
  TensorEntry entry_;
  std::uint64_t row_bytes_;
};

// Values of 6 bits, lowest bits of a byte first, read as F8_E4M3: the same numbers.
class SixBitSource : public ir::WeightSource {
 public:
  SixBitSource(TensorEntry entry, std::int64_t inputs)
      : entry_(std::move(entry)), inputs_(static_cast<std::uint64_t>(inputs)) {
    for (std::uint8_t code = 0; code < 64; ++code) bytes_[code] = as_f8(code, entry_.six_bits);
  }
  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    const auto packed = entry_.file->bytes().subspan(entry_.offset, entry_.size);
    const std::uint64_t first = static_cast<std::uint64_t>(begin) * inputs_;
    std::vector<std::byte> values(static_cast<std::uint64_t>(end - begin) * inputs_);
    for (std::uint64_t i = 0; i < values.size(); ++i) {
      const std::uint64_t bit = (first + i) * 6, at = bit / 8;
      unsigned both = std::to_integer<unsigned>(packed[at]);
      if (at + 1 < packed.size()) both |= std::to_integer<unsigned>(packed[at + 1]) << 8;
      values[i] = bytes_[both >> bit % 8 & 63];
    }
    return ir::dense_rows(end - begin, std::move(values));
  }
  void release(std::int64_t begin, std::int64_t end) const override {
    const std::uint64_t from = static_cast<std::uint64_t>(begin) * inputs_ * 6 / 8;
    entry_.file->release(entry_.offset + from,
                         static_cast<std::uint64_t>(end) * inputs_ * 6 / 8 - from);
  }
  std::string describe() const override {
    return entry_.file->path() + " @ " + std::to_string(entry_.offset) + ", 6 bits each";
  }

 private:
  // E2M3 has bias 1, E3M2 bias 3, E4M3 bias 7; a subnormal of six bits is a normal number of eight.
  static std::byte as_f8(int code, int fraction_bits) {
    const int sign = code >> 5, bias = fraction_bits == 3 ? 1 : 3;
    int exponent = (code & 31) >> fraction_bits;
    int fraction = code & ((1 << fraction_bits) - 1);
    if (exponent == 0 && fraction == 0) return static_cast<std::byte>(sign << 7);
    if (exponent == 0) {
      exponent = 1;
      while (fraction >> fraction_bits == 0) fraction <<= 1, --exponent;
      fraction &= (1 << fraction_bits) - 1;
    }
    return static_cast<std::byte>(sign << 7 | (exponent - bias + 7) << 3 |
                                  fraction << (3 - fraction_bits));
  }

  TensorEntry entry_;
  std::uint64_t inputs_;
  std::byte bytes_[64];
};

bool plain_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos && name != "." && name != ".." &&
         name.find('\0') == std::string::npos;
}

Status read_shards(const std::string& folder, const std::string& index_path, TensorMap& tensors,
                   std::vector<std::string>& files) {
  THIMBLE_ASSIGN(const Json index, text::read_json(index_path));
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    return invalid_file("has no weight_map").in(index_path);
  std::map<std::string, std::string> where;
  for (const auto& [name, shard] : index["weight_map"].items()) {
    if (!shard.is_string() || !plain_name(shard.get<std::string>()))
      return invalid_file("a shard's name leaves the folder").at_tensor(name).in(index_path);
    where[name] = shard.get<std::string>();
  }
  std::vector<std::string> shards;
  for (const auto& [name, shard] : where) shards.push_back(shard);
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  for (const std::string& shard : shards) {
    files.push_back(folder + "/" + shard);
    THIMBLE_TRY(read_safetensors(files.back(), tensors));
  }
  for (const auto& [name, shard] : where) {
    if (!tensors.contains(name))
      return invalid_file("the index names a tensor that no shard holds")
          .at_tensor(name)
          .in(index_path);
  }
  return ok();
}

}  // namespace

Status read_safetensors(const std::string& path, TensorMap& tensors) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  if (Status status = read_mapped(file, tensors); !status)
    return std::move(status).error().in(path);
  return ok();
}

namespace {

// What to do about a model's folder with its weights in another form, or without them.
std::string instead_of_safetensors(const std::string& folder) {
  std::error_code error;
  for (const char* onnx : {"/model.onnx", "/onnx/model.onnx"}) {
    if (std::filesystem::exists(folder + onnx, error))
      return "name the ONNX file: " + folder + onnx;
  }
  for (const char* pickle : {"/pytorch_model.bin", "/pytorch_model.bin.index.json"}) {
    if (std::filesystem::exists(folder + pickle, error))
      return "pickle checkpoints are not read: they execute code; convert it to safetensors first";
  }
  return "put the weights there too: the folder is not whole";
}

}  // namespace

Expected<TensorMap> read_safetensors_folder(const std::string& folder,
                                            std::vector<std::string>& files) {
  TensorMap tensors;
  const std::string single = folder + "/model.safetensors",
                    index = folder + "/model.safetensors.index.json";
  std::error_code error;
  if (std::filesystem::exists(index, error)) {
    THIMBLE_TRY(read_shards(folder, index, tensors, files));
  } else if (std::filesystem::exists(single, error)) {
    files.push_back(single);
    THIMBLE_TRY(read_safetensors(single, tensors));
  } else {
    return not_found("the folder has neither model.safetensors nor model.safetensors.index.json")
        .in(folder)
        .fix(instead_of_safetensors(folder));
  }
  return tensors;
}

ir::Weight mapped_weight(std::string name, const TensorEntry& entry) {
  ir::Weight weight;
  weight.name = std::move(name);
  weight.dtype = entry.dtype;
  weight.dims = entry.dims;
  weight.source_parameters = static_cast<std::uint64_t>(weight.element_count());
  if (entry.six_bits > 0)
    weight.source = std::make_shared<SixBitSource>(entry, weight.inputs());
  else
    weight.source = std::make_shared<MappedSource>(entry, weight.rows());
  return weight;
}

}  // namespace thimble::formats
