#include "formats/onnx/writer.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "formats/onnx/expand.h"
#include "formats/onnx/message.h"
#include "formats/onnx/opsets.h"
#include "formats/onnx/serialize.h"
#include "ir/decode.h"
#include "support/atomic_file.h"
#include "support/system.h"

namespace thimble::formats::onnx {
namespace {

constexpr std::int64_t kChunkBytes = 8 << 20;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSmallest = 1024;  // bytes of a tensor that goes outside

// An encoded weight as the f32 numbers that it stands for.
class DecodedSource : public ir::WeightSource {
 public:
  explicit DecodedSource(ir::Weight of) : of_(std::move(of)) {}
  bool by_row() const {
    return of_.encoding.axis == -1 || of_.encoding.axis + 1 == static_cast<int>(of_.dims.size());
  }
  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    auto values = std::make_shared<std::vector<float>>();
    const auto width = static_cast<std::size_t>(
        of_.element_count() / std::max<std::int64_t>(1, of_.dims.size() < 2 ? 1 : of_.dims[0]));
    if (by_row()) {
      const std::int64_t per_row = static_cast<std::int64_t>(width) / of_.inputs();
      THIMBLE_ASSIGN(const ir::Rows rows, of_.source->read(begin * per_row, end * per_row));
      values->resize(static_cast<std::size_t>(end - begin) * width);
      THIMBLE_TRY(ir::decode_rows(of_.encoding, of_.dtype, rows, of_.inputs(), *values));
    } else {
      THIMBLE_ASSIGN(*values, ir::read_floats(of_));
      values->erase(
          values->begin() + static_cast<std::ptrdiff_t>(end) * static_cast<std::ptrdiff_t>(width),
          values->end());
      values->erase(values->begin(), values->begin() + static_cast<std::ptrdiff_t>(begin) *
                                                           static_cast<std::ptrdiff_t>(width));
    }
    ir::Rows out;
    out.count = end - begin;
    out.dense = std::as_bytes(std::span(*values));
    out.owner = std::move(values);
    return out;
  }
  std::string describe() const override { return "decoded from " + of_.source->describe(); }

 private:
  ir::Weight of_;
};

Status decode_weights(ir::Model& model, const std::string& type) {
  for (ir::Weight& weight : model.weights) {
    if (weight.encoding.is_dense() || weight.source == nullptr) continue;
    if (type != "float") {
      return unsupported("a weight in " + weight.encoding.to_string() + " is not written to ONNX")
          .at_tensor(weight.name)
          .fix("write its numbers as f32 with --type float");
    }
    ir::Weight decoded = weight;
    decoded.source = std::make_shared<DecodedSource>(weight);
    decoded.encoding = ir::Encoding::dense();
    decoded.dtype = ir::DType::kF32;
    weight = std::move(decoded);
  }
  return ok();
}

// Few rows at a time, unless they lie in memory; interrupted between them.
Status append_rows(const ir::Weight& weight, AtomicFile& file, Progress& progress) {
  if (weight.source == nullptr) {
    return invalid_argument("the values of this weight are not known").at_tensor(weight.name);
  }
  const std::int64_t rows = weight.rows();
  const auto bytes = static_cast<std::int64_t>(weight.byte_size());
  const std::int64_t row_bytes = std::max<std::int64_t>(1, bytes / std::max<std::int64_t>(1, rows));
  const auto* decoded = dynamic_cast<const DecodedSource*>(weight.source.get());
  const bool whole = decoded != nullptr && !decoded->by_row();
  const std::int64_t step =
      whole ? std::max<std::int64_t>(1, rows) : std::max<std::int64_t>(1, kChunkBytes / row_bytes);
  const std::uint64_t start = file.size();
  for (std::int64_t begin = 0; begin < rows; begin += step) {
    if (system::interrupted()) return Error(ErrorCode::kInterrupted, "interrupted");
    const std::int64_t end = std::min(rows, begin + step);
    const Expected<ir::Rows> part = weight.source->read(begin, end);
    if (!part) return Error(part.error()).at_tensor(weight.name);
    THIMBLE_TRY(file.append(part->dense));
    weight.source->release(begin, end);
  }
  progress.advance(static_cast<double>(bytes) / 1e6);
  if (file.size() - start == weight.byte_size()) return ok();
  return invalid_file("a weight's rows are not as long as its dims say").at_tensor(weight.name);
}

Status append_message(const Message& message, AtomicFile& file, Progress& progress) {
  std::size_t done = 0;
  const std::string_view bytes = message.bytes();
  for (const Message::Payload& payload : message.payloads()) {
    THIMBLE_TRY(file.append(bytes.substr(done, payload.at - done)));
    done = payload.at;
    THIMBLE_TRY(append_rows(*payload.weight, file, progress));
  }
  return file.append(bytes.substr(done));
}

std::map<std::string, std::string> properties(const ir::Model& model, const Target& target) {
  constexpr std::string_view kOwn = "onnx.metadata.";
  std::map<std::string, std::string> out = target.provenance;
  for (const auto& [key, value] : model.metadata) {
    if (key.starts_with(kOwn)) out.emplace(key.substr(kOwn.size()), value);
    if (key == "onnx.producer") out.emplace("source.producer", value);
  }
  if (!model.architecture.empty()) out.emplace("source.architecture", model.architecture);
  if (!model.source_format.empty()) out.emplace("source.format", model.source_format);
  return out;
}

Message model_message(const Serialized& graph, const ir::Model& model, const Target& target) {
  Message out;
  out.integer(1, graph.versions.ir_version());
  out.text(2, "thimble");
  out.message(7, graph.message);
  const auto import = [&](std::string_view domain, std::int64_t version) {
    Message opset;
    opset.text(1, domain);
    opset.integer(2, version);
    out.message(8, opset);
  };
  import("", graph.versions.opset());
  for (const std::string& domain : graph.domains) {
    const auto known = model.metadata.find("onnx.opset." + domain);
    import(domain, known == model.metadata.end() ? 1 : std::atoll(known->second.c_str()));
  }
  for (const auto& [key, value] : properties(model, target)) {
    Message entry;
    entry.text(1, key);
    entry.text(2, value);
    out.message(14, entry);
  }
  return out;
}

}  // namespace

Status write(const ir::Model& model, const std::string& path, const Target& target,
             Progress& progress) {
  if (!target.type.empty() && target.type != "float") {
    return Error(ErrorCode::kUsage, "no ONNX type '" + target.type + "'; the type is float");
  }
  std::error_code error;
  for (const std::string& source : model.source_files) {
    if (std::filesystem::equivalent(source, path, error) ||
        std::filesystem::equivalent(source, path + ".data", error)) {
      return Error(ErrorCode::kUsage, "the output is the source").in(path);
    }
  }
  ir::Model copy = model;
  THIMBLE_TRY(decode_weights(copy, target.type));
  THIMBLE_TRY(expand_own_operators(copy));
  Layout layout;
  std::uint64_t total = 0;
  for (const ir::Weight& weight : copy.weights) {
    if (weight.source != nullptr) total += weight.byte_size();
  }
  if (total > target.external_threshold) {
    layout.location = std::filesystem::path(path).filename().string() + ".data";
    layout.smallest = kSmallest;
    layout.alignment = kPage;
  }
  THIMBLE_ASSIGN(const Serialized graph, serialize(copy, layout));
  progress.begin("writing", static_cast<double>(total) / 1e6, "MB");
  if (!graph.external.empty()) {
    THIMBLE_ASSIGN(const auto data, AtomicFile::create(path + ".data"));
    for (const ir::Weight* weight : graph.external) {
      THIMBLE_TRY(data->pad_to(kPage));
      THIMBLE_TRY(append_rows(*weight, *data, progress));
    }
    THIMBLE_TRY(data->commit());
  }
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  THIMBLE_TRY(append_message(model_message(graph, copy, target), *file, progress));
  progress.end();
  return file->commit();
}

}  // namespace thimble::formats::onnx
