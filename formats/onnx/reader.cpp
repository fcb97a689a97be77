#include "formats/onnx/reader.h"

#include <array>
#include <fstream>

#include "formats/onnx/builder.h"
#include "formats/onnx/contrib.h"
#include "formats/onnx/quantized.h"
#include "formats/onnx/upgrade.h"

namespace thimble::formats::onnx {
namespace {

void keep_metadata(const ModelInfo& info, ir::Model& model) {
  model.metadata["onnx.ir_version"] = std::to_string(info.ir_version);
  model.metadata["onnx.opset"] = std::to_string(info.opset());
  for (const OpsetImport& opset : info.opsets) {
    if (opset.domain.empty()) continue;
    model.metadata["onnx.opset." + std::string(opset.domain)] = std::to_string(opset.version);
  }
  std::string producer(info.producer_name);
  if (!info.producer_version.empty()) producer += " " + std::string(info.producer_version);
  if (!producer.empty()) model.metadata["onnx.producer"] = producer;
  for (const KeyValue& entry : info.metadata) {
    model.metadata["onnx.metadata." + std::string(entry.key)] = entry.value;
  }
}

Status check_opset(const ModelInfo& info) {
  if (info.opset() >= 1 && info.opset() <= kNewestOpset) return ok();
  return unsupported("opset " + std::to_string(info.opset()) +
                     " is not supported; opsets are 1 to " + std::to_string(kNewestOpset))
      .fix("export the model for opset " + std::to_string(kNewestOpset));
}

Expected<ir::Model> build(TensorFiles& files) {
  THIMBLE_ASSIGN(const ModelInfo info, parse_model(files.file->bytes()));
  THIMBLE_TRY(check_opset(info));
  ir::Model model;
  model.source_format = "onnx";
  keep_metadata(info, model);
  THIMBLE_TRY(GraphBuilder(info, files, model).run());
  THIMBLE_TRY(upgrade(model, info.opset()));
  THIMBLE_TRY(rewrite_contrib(model));
  return model;
}

}  // namespace

// ir_version comes first in what every exporter writes: field 1, a number of one byte. A field of
// ModelProto follows.
bool is_onnx(const std::string& path) {
  std::array<char, 3> start = {};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  const int version = start[1], next = start[2] & 0x7f;
  return start[0] == 0x08 && version >= 1 && version < 64 &&
         (next == 0x12 || next == 0x1a || next == 0x22 || next == 0x28 || next == 0x32 ||
          next == 0x3a || next == 0x42);
}

Expected<ir::Model> read_as_written(const std::string& path) {
  TensorFiles files{nullptr, ExternalFiles(path)};
  THIMBLE_ASSIGN(files.file, MappedFile::open(path));
  Expected<ir::Model> model = build(files);
  if (!model) return std::move(model).error().in(path);
  model->source_path = path;
  model->source_files = {path};
  for (std::string& external : files.external.paths()) {
    model->source_files.push_back(std::move(external));
  }
  return model;
}

Expected<ir::Model> read(const std::string& path, const ReadOptions&) {
  THIMBLE_ASSIGN(ir::Model model, read_as_written(path));
  if (Status inferred = ir::infer_shapes(model); !inferred)
    return std::move(inferred).error().in(path);
  if (Status recognized = recognize_quantized(model); !recognized)
    return std::move(recognized).error().in(path);
  if (Status verified = ir::verify(model); !verified) return std::move(verified).error().in(path);
  return model;
}

}  // namespace thimble::formats::onnx
