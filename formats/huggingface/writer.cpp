#include "formats/huggingface/writer.h"

#include <deque>
#include <filesystem>
#include <set>

#include "formats/huggingface/reader.h"
#include "formats/safetensors/writer.h"
#include "ir/turned.h"
#include "support/atomic_file.h"
#include "text/compile.h"

namespace thimble::formats {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCopied[] = {"generation_config.json",
                                   "tokenizer.json",
                                   "tokenizer.model",
                                   "vocab.txt",
                                   "vocab.json",
                                   "merges.txt",
                                   "tokenizer_config.json",
                                   "added_tokens.json",
                                   "special_tokens_map.json",
                                   "chat_template.jinja",
                                   "modules.json",
                                   "sentence_bert_config.json",
                                   "1_Pooling/config.json"};

// Where there is such a file.
Status copy_file(const std::string& name, const std::string& from, const std::string& to) {
  const fs::path source = fs::path(from) / name, target = fs::path(to) / name;
  std::error_code error;
  if (!fs::exists(source, error)) return ok();
  fs::create_directories(target.parent_path(), error);
  fs::copy_file(source, target, fs::copy_options::overwrite_existing, error);
  if (error) return io_error("cannot write", error.value()).in(target.string());
  return ok();
}

Status copy_files(const std::string& from, const std::string& to) {
  // What is written are floats, whatever the source was packed as.
  THIMBLE_ASSIGN(text::Json config, text::read_json(from + "/config.json"));
  THIMBLE_TRY(config.erase("quantization_config") == 0
                  ? copy_file("config.json", from, to)
                  : write_file(to + "/config.json", config.dump(2) + "\n"));
  for (const char* name : kCopied) THIMBLE_TRY(copy_file(name, from, to));
  return ok();
}

// The ids that end and begin texts.
void add_generation(const ir::GenerationConfig& from, text::Json& json) {
  if (from.bos_token_id) json["bos_token_id"] = *from.bos_token_id;
  if (from.pad_token_id) json["pad_token_id"] = *from.pad_token_id;
  if (from.eos_token_ids.size() == 1) json["eos_token_id"] = from.eos_token_ids.front();
  if (from.eos_token_ids.size() > 1) json["eos_token_id"] = from.eos_token_ids;
}

Status write_tokenizer(const ir::Model& model, const std::string& folder, Progress& progress) {
  if (model.tokenizer.empty()) return ok();
  THIMBLE_ASSIGN(const tokenizer::Tables tables, tokenizer::read_tables(model.tokenizer));
  const auto files = text::to_folder(tables, model.chat_template);
  if (!files) {
    progress.message("note: the tokenizer is not written: " + files.error().message);
    return ok();
  }
  for (const text::NamedFile& file : *files)
    THIMBLE_TRY(write_file(folder + "/" + file.name, file.content));
  return ok();
}

Status write_config(const ir::Model& model, const std::string& folder) {
  text::Json config = metadata_config(model);
  if (config.contains("rope_scaling") &&
      config["rope_scaling"].value("rope_type", "") == "factors") {
    return unsupported("config.json cannot say this GGUF file's rotary factors")
        .in(model.source_path);
  }
  config["architectures"] = {model.architecture};
  config["model_type"] = model_type_of(model.architecture);
  add_generation(model.generation, config);
  THIMBLE_TRY(write_file(folder + "/config.json", config.dump(2) + "\n"));
  text::Json generation = text::Json::object();
  add_generation(model.generation, generation);
  return write_file(folder + "/generation_config.json", generation.dump(2) + "\n");
}

// GPT-2's products are [inputs, outputs] there: encoded ones are seen the other way round, and GGUF
// keeps all of them so.
bool is_turned(const ir::Model& model, const ir::Weight& weight) {
  if (weight.dims.size() != 2) return false;
  return weight.encoding.is_dense() || weight.encoding.axis == -1
             ? model.source_format == "gguf" && model.architecture == "GPT2LMHeadModel" &&
                   weight.name.starts_with("h.")
             : weight.encoding.axis == 0;
}

Status check_source(const ir::Model& model) {
  if (model.source_format != "onnx") return ok();
  return unsupported("a folder of safetensors can't say what an ONNX model computes")
      .in(model.source_path)
      .fix("write .thimble or ONNX");
}

}  // namespace

Status check_huggingface(const ir::Model& model, const Target& target) {
  THIMBLE_TRY(check_source(model));
  for (const ir::ValueId constant : model.graph.constants()) {
    const ir::Weight& weight = model.weight(model.graph.value(constant).weight);
    if (weight.encoding.is_dense() || !target.type.empty() || target.allow_dequantize) continue;
    return unsupported("safetensors cannot hold the encoding " + weight.encoding.to_string())
        .at_tensor(weight.name)
        .fix("write its numbers as f32 with --allow-dequantize, or as --type f16 or bf16");
  }
  return ok();
}

namespace {

Status write_into(const ir::Model& model, const std::string& folder, const std::string& type,
                  Progress& progress) {
  std::vector<TensorToWrite> tensors;
  std::set<std::string> names;
  std::deque<ir::Weight> others;  // that are written in place of the model's
  const bool gains_plus_one = model.architecture.starts_with("Gemma");
  for (const ir::ValueId constant : model.graph.constants()) {
    const ir::Weight& weight = model.weight(model.graph.value(constant).weight);
    if (weight.source_parameters == 0 || !names.insert(weight.name).second) continue;
    const bool gain = gains_plus_one && weight.name.ends_with("norm.weight");
    const bool turn = is_turned(model, weight);
    if (turn) others.push_back(ir::turned(weight));
    tensors.push_back({turn ? &others.back() : &weight, gain ? 1.0f : 0.0f});
  }
  THIMBLE_TRY(write_safetensors(folder + "/model.safetensors", std::move(tensors), type, progress));
  if (model.source_format == "huggingface") return copy_files(model.source_path, folder);
  THIMBLE_TRY(write_tokenizer(model, folder, progress));
  return write_config(model, folder);
}

}  // namespace

Status write_huggingface(const ir::Model& model, const std::string& folder, const std::string& type,
                         Progress& progress) {
  THIMBLE_TRY(check_source(model));
  std::error_code error;
  if (fs::equivalent(folder, model.source_path, error)) {
    return Error(ErrorCode::kUsage, "the output is the source").in(folder);
  }
  const bool is_new = !fs::exists(folder, error);
  fs::create_directories(folder, error);
  if (error) return io_error("cannot make the folder", error.value()).in(folder);
  Status status = write_into(model, folder, type, progress);
  if (!status && is_new) fs::remove_all(folder, error);  // rather none than half a model
  return status;
}

}  // namespace thimble::formats
