#include "formats/onnx/writer.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>

#include "formats/onnx/expand.h"
#include "formats/onnx/message.h"
#include "formats/onnx/opsets.h"
#include "formats/onnx/serialize.h"
#include "formats/onnx/writer_encodings.h"
#include "formats/onnx/writer_streams.h"
#include "support/atomic_file.h"
#include "support/checked.h"
#include "support/system.h"

namespace thimble::formats::onnx {
namespace {

constexpr std::int64_t kChunkBytes = 2 << 20;  // that a thread makes at a time
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kSmallest = 1024;  // bytes of a tensor that goes outside

// Can rows be had one by one, each of whole bytes?
bool in_rows(const ir::Weight& weight) {
  return !reads_whole(*weight.source) && weight.inputs() * ir::dtype_bits(weight.dtype) % 8 == 0;
}

// A few rows at a time on each thread, where they can be had so; interrupted between.
Status append_rows(const ir::Weight& weight, AtomicFile& file, ThreadPool& pool,
                   Progress& progress) {
  if (weight.source == nullptr) {
    return invalid_argument("the values of this weight are not known").at_tensor(weight.name);
  }
  const std::int64_t rows = std::max<std::int64_t>(1, weight.rows()), threads = pool.threads();
  const auto bytes = static_cast<std::int64_t>(weight.byte_size());
  const std::int64_t row_bytes = std::max<std::int64_t>(1, bytes / rows);
  const std::int64_t step = in_rows(weight) ? std::clamp<std::int64_t>(kChunkBytes / row_bytes, 1,
                                                                       ceil_div(rows, threads))
                                            : rows;
  const std::uint64_t start = file.size();
  for (std::int64_t first = 0; first < weight.rows(); first += step * threads) {
    THIMBLE_TRY(system::check_interrupt());
    std::vector<Expected<ir::Rows>> parts(static_cast<std::size_t>(threads));
    const auto begin_of = [&](std::size_t part) {
      return std::min(weight.rows(), first + static_cast<std::int64_t>(part) * step);
    };
    pool.parallel_each(parts.size(), 1, [&](std::size_t i) {
      if (begin_of(i) < begin_of(i + 1))
        parts[i] = weight.source->read(begin_of(i), begin_of(i + 1));
    });
    for (std::size_t i = 0; i < parts.size() && begin_of(i) < begin_of(i + 1); ++i) {
      if (!parts[i]) return std::move(parts[i]).error().at_tensor(weight.name);
      THIMBLE_TRY(file.append(parts[i]->dense));
      weight.source->release(begin_of(i), begin_of(i + 1));
    }
  }
  progress.advance(static_cast<double>(bytes) / 1e6);
  if (file.size() - start == weight.byte_size()) return ok();
  return invalid_file("a weight's rows are not as long as its dims say").at_tensor(weight.name);
}

Status append_message(const Message& message, AtomicFile& file, ThreadPool& pool,
                      Progress& progress) {
  std::size_t done = 0;
  const std::string_view bytes = message.bytes();
  for (const Message::Payload& payload : message.payloads()) {
    THIMBLE_TRY(file.append(bytes.substr(done, payload.at - done)));
    done = payload.at;
    THIMBLE_TRY(append_rows(*payload.weight, file, pool, progress));
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

Status check_type(const Target& target) {
  if (target.type.empty() || target.type == "float") return ok();
  return Error(ErrorCode::kUsage, "no ONNX type '" + target.type + "'; the type is float");
}

EncodingOptions encoding_options(const Target& target) {
  return {.accuracy_level = target.accuracy_level,
          .decode_all = target.type == "float",
          .decode_rest = target.allow_dequantize};
}

// What is to be written, but for the numbers. Refers to itself.
struct Plan {
  ir::Model model;                 // in standard operators and dense weights
  std::vector<std::string> notes;  // for the user
  std::uint64_t weight_bytes = 0;
  Serialized graph;
  Message message;
};

Expected<std::unique_ptr<Plan>> plan_of(const ir::Model& model, const std::string& path,
                                        const Target& target) {
  THIMBLE_TRY(check_type(target));
  auto plan = std::make_unique<Plan>();
  plan->model = model;
  THIMBLE_ASSIGN(plan->notes, write_encodings(plan->model, encoding_options(target)));
  THIMBLE_TRY(expand_own_operators(plan->model));
  THIMBLE_ASSIGN(plan->graph, serialize(plan->model, {}));
  plan->weight_bytes = plan->graph.message.payload_bytes();
  if (plan->weight_bytes > target.external_threshold) {
    Layout outside;
    outside.location = std::filesystem::path(path).filename().string() + ".data";
    outside.smallest = kSmallest;
    outside.alignment = kPage;
    THIMBLE_ASSIGN(plan->graph, serialize(plan->model, outside));
  }
  plan->message = model_message(plan->graph, plan->model, target);
  return plan;
}

}  // namespace

Status check(const ir::Model& model, const Target& target) {
  THIMBLE_TRY(plan_of(model, "", target));
  return ok();
}

Expected<WrittenBytes> written_bytes(const ir::Model& model, const std::string& path,
                                     const Target& target) {
  THIMBLE_ASSIGN(const auto plan, plan_of(model, path, target));
  std::uint64_t external = 0;
  for (const ir::Weight* weight : plan->graph.external)
    external = round_up(external, kPage) + weight->byte_size();
  return WrittenBytes{plan->message.size() + external, plan->weight_bytes};
}

Status write(const ir::Model& model, const std::string& path, const Target& target,
             ThreadPool& pool, Progress& progress) {
  std::error_code error;
  for (const std::string& source : model.source_files) {
    if (std::filesystem::equivalent(source, path, error) ||
        std::filesystem::equivalent(source, path + ".data", error)) {
      return Error(ErrorCode::kUsage, "the output is the source").in(path);
    }
  }
  THIMBLE_ASSIGN(const auto plan, plan_of(model, path, target));
  for (const std::string& note : plan->notes) progress.message("note: " + note);
  progress.begin("writing", static_cast<double>(plan->weight_bytes) / 1e6, "MB");
  if (!plan->graph.external.empty()) {
    THIMBLE_ASSIGN(const auto data, AtomicFile::create(path + ".data"));
    for (const ir::Weight* weight : plan->graph.external) {
      THIMBLE_TRY(data->pad_to(kPage));
      THIMBLE_TRY(append_rows(*weight, *data, pool, progress));
    }
    THIMBLE_TRY(data->commit());
  }
  THIMBLE_ASSIGN(const auto file, AtomicFile::create(path));
  THIMBLE_TRY(append_message(plan->message, *file, pool, progress));
  progress.end();
  return file->commit();
}

}  // namespace thimble::formats::onnx
