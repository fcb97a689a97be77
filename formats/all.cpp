#include "formats/all.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <unistd.h>

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

namespace thimble::formats {
namespace {

namespace fs = std::filesystem;

std::string magic_of(const std::string& path) {
  char magic[8] = {};
  std::ifstream(path, std::ios::binary).read(magic, sizeof magic);
  return {magic, sizeof magic};
}

Expected<ir::Model> read_file(const std::string& path, const ReadOptions& options) {
  if (::access(path.c_str(), R_OK) != 0) return io_error("cannot open the file", errno).in(path);
  const std::string magic = magic_of(path);
  const std::string extension = fs::path(path).extension().string();
  if (magic.starts_with("GGUF")) return read_gguf(path);
  if (magic.starts_with("THIMBLE")) {
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
  if (extension == ".bin" || extension == ".pt" || extension == ".pth" || extension == ".ckpt") {
    return unsupported("pickle checkpoints are not read: they execute code")
        .in(path)
        .fix("convert it to safetensors first");
  }
  return unsupported(
             "not a format that is known; known are Hugging Face folders, GGUF and ONNX files")
      .in(path);
}

}  // namespace

namespace {

Expected<ir::Model> read_any(const std::string& path, const ReadOptions& options) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    if (fs::exists(path + "/config.json", error)) return read_huggingface(path);
    if (error) return io_error("cannot look into the folder", error.value()).in(path);
    return not_found("the folder has no config.json")
        .in(path)
        .fix("name a Hugging Face model folder, or a GGUF file");
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
