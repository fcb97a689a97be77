#include "formats/all.h"

#include <filesystem>

#include "formats/gguf/pack.h"
#include "formats/gguf/reader.h"
#include "formats/gguf/writer.h"
#include "formats/huggingface/reader.h"
#include "formats/huggingface/writer.h"
#include "formats/onnx/reader.h"
#include "formats/onnx/tensors.h"
#include "formats/onnx/writer.h"
#include "formats/onnx/writer_encodings.h"
#include "formats/onnx/writer_streams.h"
#include "support/mapped_file.h"

namespace thimble::formats {
namespace {

namespace fs = std::filesystem;

// Formats that people have models in and that aren't read, by what their files begin with.
Error foreign(std::string_view start, const std::string& extension) {
  const bool zip = start.starts_with("PK\x03\x04");
  if (start.size() >= 8 && start.substr(4, 4) == "TFL3")
    return unsupported("TensorFlow Lite models are not read")
        .fix("convert the model that it was made from to ONNX, with tf2onnx for example");
  if (start.starts_with("\x89HDF") || extension == ".keras" || extension == ".pb")
    return unsupported("TensorFlow's and Keras's models are not read")
        .fix("convert it to ONNX, with tf2onnx for example");
  if (zip || extension == ".bin" || extension == ".pt" || extension == ".pth" ||
      extension == ".ckpt")
    return unsupported("pickle checkpoints are not read: they execute code")
        .fix("convert it to safetensors first");
  return unsupported(
      "not a format that is known; known are Hugging Face folders, GGUF and ONNX files");
}

Expected<ir::Model> read_file(const std::string& path, const ReadOptions& options) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  const std::string_view start = file->text();
  const std::string extension = fs::path(path).extension().string();
  if (start.starts_with("GGUF")) return read_gguf(path);
  for (const char* page : {"<!DOCTYPE", "<!doctype", "<html"}) {
    if (start.starts_with(page))
      return invalid_file("is a web page").in(path).fix("download the file itself, not its page");
  }
  if (start.starts_with("THIMBLE")) {
    return invalid_argument("a .thimble is a target and is not read as a source")
        .in(path)
        .fix("use the model that it was made from");
  }
  if (extension == ".safetensors") {
    const std::string folder =
        fs::path(path).has_parent_path() ? fs::path(path).parent_path().string() : ".";
    if (fs::exists(folder + "/config.json")) return read_huggingface(folder);
    return invalid_argument("a safetensors file alone doesn't say what it computes")
        .in(path)
        .fix("put config.json beside it, and name the folder");
  }
  if (extension == ".onnx" || onnx::is_onnx(path)) return onnx::read(path, options);
  return foreign(start, extension).in(path);
}

// What a folder without config.json holds instead, if that is something that people name.
Error no_model_in(const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder + "/adapter_config.json", error))
    return unsupported("the folder holds an adapter, and not the model that it adapts")
        .fix("merge the two first: merge_and_unload of Hugging Face's peft");
  std::string file;  // the first by name
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string extension = entry.path().extension().string();
    const bool model = extension == ".onnx" || extension == ".gguf";
    if (model && (file.empty() || entry.path().string() < file)) file = entry.path().string();
  }
  return not_found("the folder has no config.json")
      .fix(file.empty() ? "name a Hugging Face model folder, or a GGUF or ONNX file"
                        : "name the file in it: " + file);
}

Expected<ir::Model> read_any(const std::string& path, const ReadOptions& options) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    if (fs::exists(path + "/config.json", error)) return read_huggingface(path);
    if (error) return io_error("cannot look into the folder", error.value()).in(path);
    return no_model_in(path).in(path);
  }
  if (fs::exists(path, error)) return read_file(path, options);
  if (error) return io_error("cannot look at the file", error.value()).in(path);
  THIMBLE_ASSIGN(const std::string cached, find_in_cache(path));
  return read_huggingface(cached);
}

}  // namespace

Expected<ir::Model> read_model(const std::string& path, const ReadOptions& options) {
  THIMBLE_ASSIGN(ir::Model model, read_any(path, options));
  if (Status bound = ir::bind_dims(model, options.dims); !bound)
    return std::move(bound).error().in(path);
  model.original_parameters = model.parameter_count();
  return model;
}

namespace {

Error no_writer(const std::string& format) {
  return Error(ErrorCode::kUsage,
               "no writer for '" + format + "'; formats are thimble, gguf, onnx, safetensors");
}

}  // namespace

Expected<ir::Weight> read_tensor(const std::string& path) { return onnx::read_tensor(path); }

Status write_model(const ir::Model& model, const std::string& path, const Target& target,
                   ThreadPool& pool, Progress& progress) {
  if (target.format == "gguf") return write_gguf(model, path, target, pool, progress);
  if (target.format == "safetensors") {
    return write_huggingface(model, path, target.type, progress);
  }
  if (target.format == "onnx") return onnx::write(model, path, target, pool, progress);
  return no_writer(target.format);
}

Status check_writable(const ir::Model& model, const Target& target) {
  if (target.format == "gguf") return check_gguf(model, target);
  if (target.format == "safetensors") return check_huggingface(model, target);
  if (target.format == "onnx") return onnx::check(model, target);
  return no_writer(target.format);
}

Expected<WrittenBytes> written_bytes(const ir::Model& model, const std::string& path,
                                     const Target& target) {
  if (target.format == "gguf") return gguf_bytes(model, target);
  if (target.format == "onnx") return onnx::written_bytes(model, path, target);
  return no_writer(target.format);
}

std::uint64_t stored_bytes(const ir::Weight& weight, const Target& target) {
  if (target.format == "gguf") {
    const auto type = gguf::choose_type(weight, target);
    if (type) return gguf::row_bytes(**type, weight) * static_cast<std::uint64_t>(weight.rows());
  }
  const bool quantized = target.format == "onnx" && target.type.empty();
  if (quantized && onnx::has_streams(weight.encoding)) return onnx::encoded_bytes(weight);
  const auto floats = static_cast<std::uint64_t>(weight.element_count()) * sizeof(float);
  return weight.encoding.is_dense() ? weight.byte_size() : floats;
}

bool holds(const ir::Weight& weight, const Target& target) {
  if (target.format == "gguf") return gguf::choose_type(weight, target).has_value();
  if (target.format == "safetensors")
    return weight.encoding.is_dense() || !target.type.empty() || target.allow_dequantize;
  if (target.format == "onnx") {
    return weight.encoding.is_dense() || !target.type.empty() || target.allow_dequantize ||
           onnx::has_streams(weight.encoding);
  }
  return true;
}

bool writes_floats(const Target& target) {
  return target.format == "safetensors" || (target.format == "onnx" && target.type == "float") ||
         (target.format == "gguf" && target.decode);
}

}  // namespace thimble::formats
