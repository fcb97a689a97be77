#include "formats/safetensors/writer.h"

#include <algorithm>
#include <cmath>

#include "ir/decode.h"
#include "support/atomic_file.h"
#include "support/checked.h"
#include "support/half.h"
#include "support/system.h"
#include "text/json.h"

namespace thimble::formats {
namespace {

constexpr std::int64_t kBytesAtOnce = 8 << 20;

struct Entry {
  TensorToWrite tensor;
  ir::DType type = ir::DType::kF32;
  std::uint64_t size = 0;
};

Expected<std::string> type_name(ir::DType type) {
  switch (type) {
    case ir::DType::kF64:
      return std::string("F64");
    case ir::DType::kF32:
      return std::string("F32");
    case ir::DType::kF16:
      return std::string("F16");
    case ir::DType::kBF16:
      return std::string("BF16");
    case ir::DType::kI64:
      return std::string("I64");
    case ir::DType::kI32:
      return std::string("I32");
    case ir::DType::kI8:
      return std::string("I8");
    case ir::DType::kU8:
      return std::string("U8");
    case ir::DType::kBool:
      return std::string("BOOL");
    default:
      return unsupported("values of type " + std::string(ir::dtype_name(type)) +
                         " are not written to safetensors");
  }
}

Expected<ir::DType> chosen_type(const ir::Weight& weight, const std::string& wanted) {
  const bool convertible = !weight.encoding.is_dense() || ir::dtype_is_float(weight.dtype);
  if (wanted.empty() || !convertible) {
    return weight.encoding.is_dense() ? weight.dtype : ir::DType::kF32;
  }
  if (wanted == "f32") return ir::DType::kF32;
  if (wanted == "f16") return ir::DType::kF16;
  if (wanted == "bf16") return ir::DType::kBF16;
  return Error(ErrorCode::kUsage, "no safetensors type '" + wanted + "'; types are f32, f16, bf16");
}

Status convert(std::span<const float> values, ir::DType type, std::vector<std::byte>& out) {
  out.clear();
  const auto bytes = std::as_bytes(values);
  if (type == ir::DType::kF32) {
    out.assign(bytes.begin(), bytes.end());
    return ok();
  }
  const bool half = type == ir::DType::kF16;
  if (!half && type != ir::DType::kBF16) {
    return unsupported("values that are computed are written as f32, f16 or bf16");
  }
  for (const float value : values) {
    const std::uint16_t bits = half ? float_to_half(value) : float_to_bfloat(value);
    const float back = half ? half_to_float(bits) : bfloat_to_float(bits);
    if (std::isfinite(value) && !std::isfinite(back)) {
      return unsupported("holds a value that " + std::string(ir::dtype_name(type)) + " cannot");
    }
    const auto raw = std::as_bytes(std::span(&bits, 1));
    out.insert(out.end(), raw.begin(), raw.end());
  }
  return ok();
}

Status append_rows(const Entry& entry, std::int64_t begin, std::int64_t end, AtomicFile& file) {
  const ir::Weight& weight = *entry.tensor.weight;
  THIMBLE_ASSIGN(const ir::Rows rows, weight.source->read(begin, end));
  if (weight.encoding.is_dense() && weight.dtype == entry.type && entry.tensor.minus == 0) {
    return file.append(rows.dense);
  }
  std::vector<float> values(static_cast<std::size_t>(end - begin) *
                            static_cast<std::size_t>(weight.inputs()));
  THIMBLE_TRY(ir::decode_rows(weight.encoding, weight.dtype, rows, weight.inputs(), values));
  for (float& value : values) value -= entry.tensor.minus;
  std::vector<std::byte> bytes;
  THIMBLE_TRY(convert(values, entry.type, bytes));
  return file.append(bytes);
}

Status append_tensor(const Entry& entry, AtomicFile& file, Progress& progress) {
  const ir::Weight& weight = *entry.tensor.weight;
  const std::int64_t rows = weight.rows();
  const std::int64_t row_bytes = std::max<std::int64_t>(1, weight.inputs() * 4);
  const std::int64_t step = std::max<std::int64_t>(1, kBytesAtOnce / row_bytes);
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    THIMBLE_TRY(system::check_interrupt());
    const std::int64_t end = std::min(rows, begin + step);
    const std::uint64_t before = file.size();
    if (Status status = append_rows(entry, begin, end, file); !status) {
      return std::move(status).error().at_tensor(weight.name);
    }
    weight.source->release(begin, end);
    progress.advance(static_cast<double>(file.size() - before) / 1e6);
  }
  return ok();
}

Expected<std::string> header_of(const std::vector<Entry>& entries) {
  text::Json header = {{"__metadata__", {{"format", "pt"}}}};
  std::uint64_t offset = 0;
  for (const Entry& entry : entries) {
    const ir::Weight& weight = *entry.tensor.weight;
    THIMBLE_ASSIGN(const std::string type, type_name(entry.type));
    header[weight.name] = {
        {"dtype", type}, {"shape", weight.dims}, {"data_offsets", {offset, offset + entry.size}}};
    offset += entry.size;
  }
  std::string text = header.dump();
  text.resize(round_up<std::size_t>(text.size(), 8), ' ');
  return text;
}

}  // namespace

Status write_safetensors(const std::string& path, std::vector<TensorToWrite> tensors,
                         const std::string& type, Progress& progress) {
  std::vector<Entry> entries;
  double total = 0;
  for (const TensorToWrite& tensor : tensors) {
    const ir::Weight& weight = *tensor.weight;
    if (!weight.encoding.is_dense() && weight.encoding.axis != -1 &&
        weight.encoding.axis + 1 != static_cast<int>(weight.dims.size())) {
      return unsupported("an encoding along another axis than the last").at_tensor(weight.name);
    }
    Entry entry{tensor};
    THIMBLE_ASSIGN(entry.type, chosen_type(weight, type));
    entry.size = static_cast<std::uint64_t>(weight.element_count()) *
                 static_cast<std::uint64_t>(ir::dtype_bits(entry.type)) / 8;
    total += static_cast<double>(entry.size);
    entries.push_back(entry);
  }
  // The widest types first: then every tensor lies on a multiple of its elements' size.
  std::stable_sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    const int left = ir::dtype_bits(a.type), right = ir::dtype_bits(b.type);
    return left != right ? left > right : a.tensor.weight->name < b.tensor.weight->name;
  });
  THIMBLE_ASSIGN(const std::string header, header_of(entries));
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  const auto length = static_cast<std::uint64_t>(header.size());
  THIMBLE_TRY(file->append(std::as_bytes(std::span(&length, 1))));
  THIMBLE_TRY(file->append(header));
  progress.begin("writing", total / 1e6, "MB");
  for (const Entry& entry : entries) THIMBLE_TRY(append_tensor(entry, *file, progress));
  progress.end();
  return file->commit();
}

}  // namespace thimble::formats
