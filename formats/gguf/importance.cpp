#include "formats/importance.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/gguf/architectures.h"
#include "formats/gguf/container.h"
#include "formats/gguf/keys.h"
#include "ir/match.h"
#include "support/atomic_file.h"
#include "support/checked.h"
#include "support/cursor.h"

namespace thimble::formats {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr std::uint64_t kImportanceAlignment = 32;
constexpr std::int32_t kMaxEntryName = 256;
constexpr std::uint32_t kTypeF32 = 0;

std::vector<float> floats_at(std::span<const std::byte> bytes) {
  std::vector<float> out(bytes.size() / sizeof(float));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(float));
  return out;
}

Status check_sums(const std::string& name, std::span<const float> sums) {
  for (const float sum : sums) {
    if (std::isfinite(sum) && sum >= 0) continue;
    return invalid_file("a sum of squares is not a number of 0 or more").at_tensor(name);
  }
  return ok();
}

Expected<std::vector<float>> floats_of(const gguf::Container& container,
                                       const gguf::Tensor& tensor) {
  if (tensor.type->id != kTypeF32)
    return invalid_file("importance is held in f32").at_tensor(tensor.name);
  return floats_at(container.file->bytes().subspan(tensor.offset, tensor.size));
}

Expected<ImportanceMatrix> from_container(const gguf::Container& container) {
  ImportanceMatrix matrix;
  THIMBLE_ASSIGN(const auto type, gguf::text(container, "general.type"));
  if (type != "imatrix") {
    return invalid_file("this GGUF file holds no importance matrix: its `general.type` is '" +
                        type.value_or("") + "'")
        .fix("name the file that llama-imatrix or `thimble imatrix` wrote");
  }
  THIMBLE_ASSIGN(const auto datasets, gguf::texts(container, "imatrix.datasets"));
  if (!datasets.empty()) matrix.dataset = datasets.front();
  THIMBLE_ASSIGN(const auto chunks, gguf::integer(container, "imatrix.chunk_count"));
  THIMBLE_ASSIGN(const auto size, gguf::integer(container, "imatrix.chunk_size"));
  matrix.chunks = chunks.value_or(0);
  matrix.chunk_size = size.value_or(0);
  for (const auto& [full, tensor] : container.tensors) {
    if (!full.ends_with(kSums)) continue;
    const std::string name = full.substr(0, full.size() - kSums.size());
    const auto counts = container.tensors.find(name + std::string(kCounts));
    if (counts == container.tensors.end())
      return invalid_file("'" + full + "' comes without its counts").at_tensor(name);
    THIMBLE_ASSIGN(const std::vector<float> count, floats_of(container, counts->second));
    ImportanceEntry entry;
    THIMBLE_ASSIGN(entry.sums, floats_of(container, tensor));
    THIMBLE_TRY(check_sums(name, count));
    THIMBLE_TRY(check_sums(name, entry.sums));
    if (count.size() != 1 || count[0] == 0) continue;
    entry.count = count[0];
    matrix.entries.emplace(name, std::move(entry));
  }
  return matrix;
}

Expected<ImportanceMatrix> from_dat(std::span<const std::byte> bytes) {
  Cursor cursor(bytes);
  ImportanceMatrix matrix;
  THIMBLE_ASSIGN(const auto entries, cursor.read<std::int32_t>());
  if (entries < 1 || static_cast<std::uint64_t>(entries) > cursor.remaining() / 12)
    return invalid_file("it claims " + std::to_string(entries) + " entries").at_offset(0);
  for (std::int32_t i = 0; i < entries; ++i) {
    const std::uint64_t at = cursor.offset();
    THIMBLE_ASSIGN(const auto length, cursor.read<std::int32_t>());
    if (length < 1 || length > kMaxEntryName)
      return invalid_file("a name of " + std::to_string(length) + " bytes").at_offset(at);
    THIMBLE_ASSIGN(const auto name, cursor.read_text(static_cast<std::uint64_t>(length)));
    THIMBLE_ASSIGN(const auto calls, cursor.read<std::int32_t>());
    THIMBLE_ASSIGN(const auto values, cursor.read<std::int32_t>());
    if (calls < 0 || values < 0)
      return invalid_file("an entry of " + std::to_string(values) + " values in " +
                          std::to_string(calls) + " calls")
          .at_offset(at);
    THIMBLE_ASSIGN(const auto raw,
                   cursor.read_bytes(static_cast<std::uint64_t>(values) * sizeof(float)));
    ImportanceEntry entry{floats_at(raw), static_cast<double>(calls)};
    THIMBLE_TRY(check_sums(std::string(name), entry.sums));
    if (calls == 0 || values == 0) continue;
    if (!matrix.entries.emplace(std::string(name), std::move(entry)).second)
      return invalid_file("two entries have this name").at_tensor(std::string(name));
  }
  // How many calls, and on what: absent in the oldest files.
  const auto calls = cursor.read<std::int32_t>();
  if (!calls) return matrix;
  matrix.chunks = std::max(0, *calls);
  const auto length = cursor.read<std::int32_t>();
  if (!length || *length < 0) return matrix;
  if (const auto text = cursor.read_text(static_cast<std::uint64_t>(*length)))
    matrix.dataset = std::string(*text);
  return matrix;
}

const gguf::Architecture* known_architecture(const ir::Model& model) {
  for (const gguf::Architecture& architecture : gguf::kArchitectures) {
    if (architecture.huggingface == model.architecture) return &architecture;
  }
  return nullptr;
}

}  // namespace

Expected<ImportanceMatrix> read_importance(const std::string& path) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  const std::span<const std::byte> bytes = file->bytes();
  const bool is_gguf = bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
  auto matrix = [&]() -> Expected<ImportanceMatrix> {
    if (!is_gguf) return from_dat(bytes);
    THIMBLE_ASSIGN(const gguf::Container container, gguf::read_container(path));
    return from_container(container);
  }();
  if (!matrix) return std::move(matrix).error().in(path).note("read as an importance matrix");
  if (matrix->entries.empty()) return invalid_file("it holds the importance of no weight").in(path);
  return matrix;
}

Status write_importance(const ImportanceMatrix& matrix, const std::string& path) {
  gguf::Keys keys;
  keys.text("general.type", "imatrix");
  keys.integer("general.alignment", kImportanceAlignment);
  keys.texts("imatrix.datasets", {matrix.dataset});
  keys.integer("imatrix.chunk_count", static_cast<std::uint32_t>(matrix.chunks));
  keys.integer("imatrix.chunk_size", static_cast<std::uint32_t>(matrix.chunk_size));
  std::string out = "GGUF";
  gguf::append_number(out, std::uint32_t{3});
  gguf::append_number(out, static_cast<std::uint64_t>(matrix.entries.size() * 2));
  gguf::append_number(out, keys.count());
  out += keys.bytes();
  std::uint64_t offset = 0;
  const auto describe = [&](const std::string& name, std::uint64_t width) {
    gguf::append_text(out, name);
    gguf::append_number(out, std::uint32_t{2});
    gguf::append_number(out, width);
    gguf::append_number(out, std::uint64_t{1});
    gguf::append_number(out, kTypeF32);
    gguf::append_number(out, offset);
    offset += round_up<std::uint64_t>(width * sizeof(float), kImportanceAlignment);
  };
  for (const auto& [name, entry] : matrix.entries) {
    describe(name + std::string(kSums), entry.sums.size());
    describe(name + std::string(kCounts), 1);
  }
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  THIMBLE_TRY(file->append(out));
  THIMBLE_TRY(file->pad_to(kImportanceAlignment));
  for (const auto& [name, entry] : matrix.entries) {
    const float count[] = {static_cast<float>(entry.count)};
    THIMBLE_TRY(file->append(std::as_bytes(std::span(entry.sums))));
    THIMBLE_TRY(file->pad_to(kImportanceAlignment));
    THIMBLE_TRY(file->append(std::as_bytes(std::span(count))));
    THIMBLE_TRY(file->pad_to(kImportanceAlignment));
  }
  return file->commit();
}

std::string importance_name(const ir::Model& model, const ir::Weight& weight) {
  const gguf::Architecture* architecture = known_architecture(model);
  if (architecture == nullptr) return weight.name;
  std::string name = gguf::to_gguf(weight.name, architecture->naming);
  return name.empty() ? weight.name : name;
}

Expected<std::map<std::string, std::vector<double>>> importance_for(const ImportanceMatrix& matrix,
                                                                    const ir::Model& model) {
  std::map<std::string, std::vector<double>> out;
  for (const ir::WeightUse& use : ir::quantizable_weights(model)) {
    const ir::Weight& weight = model.weight(use.weight);
    const auto found = matrix.entries.find(importance_name(model, weight));
    if (found == matrix.entries.end()) continue;
    const ImportanceEntry& entry = found->second;
    const std::int64_t inputs = weight.dims[static_cast<std::size_t>(use.axis)];
    if (std::ssize(entry.sums) != inputs) {
      return invalid_argument("the importance matrix has " + std::to_string(entry.sums.size()) +
                              " inputs of '" + found->first + "', the model " +
                              std::to_string(inputs))
          .at_tensor(weight.name)
          .fix("name the importance matrix of this model");
    }
    std::vector<double>& means = out[weight.name];
    for (const float sum : entry.sums) means.push_back(sum / entry.count);
  }
  if (!out.empty()) return out;
  return invalid_argument("the importance matrix speaks of '" + matrix.entries.begin()->first +
                          "' and others, none of which the model has")
      .fix("name the importance matrix of this model");
}

}  // namespace thimble::formats
