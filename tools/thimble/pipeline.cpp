#include "tools/thimble/pipeline.h"

#include <algorithm>

#include "formats/all.h"
#include "support/checked.h"
#include "support/hash.h"
#include "support/mapped_file.h"
#include "support/system.h"

namespace thimble::cli {
namespace {

constexpr std::uint64_t kHashChunk = 8u << 20;

// The digest of a file's chunks' digests, so that threads can share the work.
Status hash_file(const std::string& path, Environment& environment, Hasher& hasher) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  std::vector<Digest> chunks(ceil_div(file->size(), kHashChunk));
  environment.pool.parallel_for(chunks.size(), 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end && !system::interrupted(); ++i) {
      const std::uint64_t at = i * kHashChunk, size = std::min(kHashChunk, file->size() - at);
      chunks[i] = digest_of(file->bytes().subspan(at, size));
      file->release(at, size);
    }
  });
  if (system::interrupted()) return Error(ErrorCode::kInterrupted, "interrupted");
  hasher.update(std::to_string(file->size()));
  for (const Digest& chunk : chunks) hasher.update(chunk.hex());
  environment.progress.advance(static_cast<double>(file->size()) / 1e6);
  return ok();
}

}  // namespace

Expected<std::string> digest_of_source(const ir::Model& model, Environment& environment) {
  Hasher hasher;
  environment.progress.begin("hashing the source", 0, "MB");
  for (const std::string& path : model.source_files) {
    THIMBLE_TRY(hash_file(path, environment, hasher));
  }
  environment.progress.end();
  return hasher.finish().hex();
}

Expected<Prepared> prepare(const std::string& path, const recipe::Recipe& recipe,
                           const pass::ManagerOptions& options, Environment& environment) {
  Prepared prepared;
  formats::ReadOptions read;
  read.strict = environment.globals.strict;
  THIMBLE_ASSIGN(prepared.original, formats::read_model(path, read));
  prepared.model = prepared.original;
  pass::Context context{environment.pool, environment.progress, recipe.seed,
                        environment.globals.strict};
  THIMBLE_TRY(pass::run_passes(prepared.model, recipe.passes, context, options, prepared.report));
  for (const pass::PassReport& pass : prepared.report.passes) {
    for (const std::string& warning : pass.warnings)
      environment.progress.message("warning: " + pass.pass + ": " + warning);
  }
  return prepared;
}

void collect_errors(const ir::Model& model, pass::Report& report) {
  for (const ir::Weight& weight : model.weights) {
    if (weight.source == nullptr) continue;
    const auto error = weight.source->relative_error();
    if (!error) continue;
    for (pass::PassReport& pass : report.passes) {
      for (pass::TensorDecision& decision : pass.decisions) {
        if (decision.tensor == weight.name) decision.error = *error;
      }
    }
  }
}

program::CacheType cache_type(const recipe::Recipe& recipe, const ir::Model& model) {
  if (recipe.cache == "f32") return program::CacheType::kF32;
  if (recipe.cache == "f16") return program::CacheType::kF16;
  if (recipe.cache == "int8") return program::CacheType::kInt8;
  const bool quantized = std::any_of(
      model.weights.begin(), model.weights.end(),
      [](const ir::Weight& w) { return w.source != nullptr && !w.encoding.is_dense(); });
  return quantized ? program::CacheType::kF16 : program::CacheType::kF32;
}

// Each thread holds one chunk of rows as read, as f32, as codes and as tiles.
std::uint64_t working_memory(const ir::Model& model, int threads) {
  constexpr std::uint64_t kFixed = 48u << 20;
  constexpr std::uint64_t kChunk = 16u << 20;
  std::uint64_t widest = 0;
  for (const ir::Weight& weight : model.weights) {
    if (weight.source != nullptr)
      widest = std::max(widest, static_cast<std::uint64_t>(weight.inputs()) * 16 * 16);
  }
  return kFixed + static_cast<std::uint64_t>(threads) * std::max(kChunk, widest);
}

}  // namespace thimble::cli
