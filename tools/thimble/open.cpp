#include "tools/thimble/open.h"

#include <cstdio>
#include <cstring>

#include "eval/gate.h"
#include "formats/all.h"
#include "lower/lower.h"
#include "tools/thimble/metadata.h"

namespace thimble::cli {

bool is_thimble(const std::string& path) {
  char magic[8] = {};
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) return false;
  const bool whole = std::fread(magic, 1, sizeof magic, file) == sizeof magic;
  std::fclose(file);
  return whole && std::memcmp(magic, "THIMBLE", 7) == 0;
}

void add_file_argument(CLI::App& command, std::string& path) {
  command.add_option("FILE", path, "A .thimble, or any model that compress reads")->required();
}

void add_dim_option(CLI::App& command, Globals& globals) {
  command
      .add_option("--dim", globals.dims,
                  "Sizes that the model leaves open, or bounds of them, as in batch=1,seq=1..512")
      ->type_name("NAME=SIZE")
      ->allow_extra_args(false);
}

Expected<ir::DimRanges> dims_of(const Globals& globals) {
  std::string all;
  for (const std::string& text : globals.dims) all += (all.empty() ? "" : ",") + text;
  return all.empty() ? ir::DimRanges() : ir::parse_dim_ranges(all);
}

Expected<Opened> open_any(const std::string& path, Environment& environment) {
  THIMBLE_ASSIGN(const ir::DimRanges dims, dims_of(environment.globals));
  if (!dims.empty() && is_thimble(path)) {
    return Error(ErrorCode::kUsage, "a .thimble's sizes were settled when it was written")
        .in(path)
        .fix("give --dim to compress");
  }
  return open_whatever_dims(path, environment);
}

Expected<Opened> open_whatever_dims(const std::string& path, Environment& environment) {
  Opened opened;
  opened.path = path;
  if (is_thimble(path)) {
    THIMBLE_ASSIGN(opened.bundle, program::open_thimble(path));
    return opened;
  }
  THIMBLE_ASSIGN(opened.model, read_source(path, environment.globals));
  THIMBLE_ASSIGN(opened.bundle, lower::load(*opened.model, environment.pool));
  return opened;
}

Expected<ir::Model> read_source(const std::string& path, const Globals& globals) {
  formats::ReadOptions options;
  THIMBLE_ASSIGN(options.dims, dims_of(globals));
  return formats::read_model(path, options);
}

ir::DimRanges ranges_of(const Opened& opened) {
  if (opened.model) return ir::dim_ranges(opened.model->metadata);
  const std::string key(ir::kDimRangesKey);
  const std::string* text = program::find(opened.bundle.metadata, model_key(key));
  return text != nullptr ? ir::dim_ranges({{key, *text}}) : ir::DimRanges();
}

Expected<tokenizer::Tokenizer> tokenizer_of(const program::Bundle& bundle,
                                            const std::string& path) {
  if (bundle.tokenizer.empty()) {
    return invalid_argument("the model has no tokenizer")
        .in(path)
        .fix(is_thimble(path)
                 ? "put tokenizer.json or tokenizer.model beside the model that it was "
                   "made from, and write it again"
                 : "put tokenizer.json or tokenizer.model beside it");
  }
  return tokenizer::Tokenizer::load(bundle.tokenizer);
}

std::uint64_t tensor_bytes(const program::Program& program, const program::Tensor& tensor) {
  std::uint64_t bytes = 0;
  for (const std::int32_t segment : tensor.segments) bytes += program.segment(segment).size;
  return bytes;
}

std::uint64_t payload_bytes(const program::Bundle& bundle) {
  std::uint64_t bytes = 0;
  for (const program::Tensor& tensor : bundle.program.tensors)
    bytes += tensor_bytes(bundle.program, tensor);
  return bytes;
}

double bits_per_weight(std::uint64_t payload, std::uint64_t parameters) {
  if (parameters == 0) return 0;
  return 8.0 * static_cast<double>(payload) / static_cast<double>(parameters);
}

double bits_per_weight(const program::Bundle& bundle) {
  return bits_per_weight(payload_bytes(bundle), bundle.parameters);
}

double bits_per_weight(const Opened& opened) {
  if (!opened.model) return bits_per_weight(opened.bundle);
  return bits_per_weight(opened.model->weight_bytes(), opened.model->parameter_count());
}

Expected<std::uint64_t> size_option(const std::string& text, const std::string& option) {
  const auto bytes = eval::parse_size(text);
  if (!bytes || *bytes <= 0)
    return Error(ErrorCode::kUsage, option + " reads a size such as 500MB, not '" + text + "'");
  return static_cast<std::uint64_t>(*bytes);
}

}  // namespace thimble::cli
