#include "tools/thimble/pipeline.h"

#include <algorithm>
#include <map>

#include "formats/all.h"
#include "lower/lower.h"
#include "pass/finite.h"
#include "passes/quantize/findings.h"
#include "quant/quantize.h"
#include "report/summary.h"
#include "support/checked.h"
#include "support/hash.h"
#include "support/mapped_file.h"
#include "support/sha256.h"
#include "support/system.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

constexpr std::uint64_t kHashChunk = 8u << 20;

// The digest of a file's chunks' digests, so that threads can share the work.
Status hash_file(const std::string& path, Environment& environment, Hasher& hasher) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  std::vector<Digest> chunks(ceil_div(file->size(), kHashChunk));
  environment.pool.parallel_each(chunks.size(), 1, [&](std::size_t i) {
    if (system::interrupted()) return;
    const std::uint64_t at = i * kHashChunk, size = std::min(kHashChunk, file->size() - at);
    chunks[i] = digest_of(file->bytes().subspan(at, size));
    file->release(at, size);
  });
  THIMBLE_TRY(system::check_interrupt());
  hasher.update(std::to_string(file->size()));
  for (const Digest& chunk : chunks) hasher.update(chunk.hex());
  environment.progress.advance(static_cast<double>(file->size()) / 1e6);
  return ok();
}

void warn(const std::string& pass, std::span<const pass::Finding> findings,
          Environment& environment) {
  for (const std::string& line : report::finding_lines(pass, findings))
    environment.progress.message("warning: " + line);
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

Expected<Prepared> read_original(const std::string& path, Environment& environment) {
  Prepared prepared;
  formats::ReadOptions read;
  read.strict = environment.globals.strict;
  THIMBLE_ASSIGN(read.dims, dims_of(environment.globals));
  THIMBLE_ASSIGN(prepared.original, formats::read_model(path, read));
  prepared.model = prepared.original;
  return prepared;
}

Expected<std::string> model_of(const std::string& named, const recipe::Recipe& recipe) {
  if (!named.empty()) return named;
  if (!recipe.model_path.empty()) return recipe.model_path;
  return Error(ErrorCode::kUsage, "MODEL is required: the recipe names none")
      .fix("name a model, or add `model: {path: MODEL}` to the recipe");
}

Status check_sha256(const ir::Model& model, const recipe::Recipe& recipe,
                    Environment& environment) {
  if (recipe.model_sha256.empty()) return ok();
  Sha256 hasher;
  std::string names;
  environment.progress.begin("checking the model's sha256", 0, "MB");
  for (const std::string& path : model.source_files) {
    const bool weights = model.source_format != "huggingface" || path.ends_with(".safetensors");
    if (!weights) continue;
    names += (names.empty() ? "" : " ") + path;
    THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
    for (std::uint64_t at = 0; at < file->size(); at += kHashChunk) {
      THIMBLE_TRY(system::check_interrupt());
      const std::uint64_t size = std::min(kHashChunk, file->size() - at);
      hasher.update(file->bytes().subspan(at, size));
      file->release(at, size);
      environment.progress.advance(static_cast<double>(size) / 1e6);
    }
  }
  environment.progress.end();
  const std::string actual = hasher.hex();
  if (actual == recipe.model_sha256) return ok();
  return Error(ErrorCode::kInvalidFile,
               "the model is another one than the recipe is for: its sha256 is " + actual)
      .at(recipe.model_sha256_place)
      .note("of " + names)
      .fix("use the recipe's model, or correct its `model: {sha256}`");
}

pass::Context context_of(const PassRequest& request, const recipe::Recipe& recipe,
                         Environment& environment) {
  pass::Context context{environment.pool, environment.progress, recipe.seed,
                        environment.globals.strict};
  context.dry_run = request.dry_run;
  context.calibration = request.calibration;
  context.target_holds = request.target_holds;
  return context;
}

Status run_recipe(Prepared& prepared, const recipe::Recipe& recipe, const PassRequest& request,
                  Environment& environment) {
  pass::Context context = context_of(request, recipe, environment);
  THIMBLE_TRY(
      pass::run_passes(prepared.model, recipe.passes, context, request.manager, prepared.report));
  warn_user(prepared.report, environment);
  return ok();
}

void warn_user(const pass::Report& report, Environment& environment) {
  for (const pass::PassReport& pass : report.passes) warn(pass.pass, pass.findings, environment);
}

Status check_finite(Prepared& prepared, Environment& environment) {
  std::vector<pass::Finding>& found = prepared.report.source;
  THIMBLE_ASSIGN(found, pass::find_not_finite(prepared.original, environment.pool));
  if (environment.globals.strict && !found.empty()) return pass::strict_error(found, "");
  warn("model", found, environment);
  return ok();
}

Expected<std::uint64_t> payload_bytes(const ir::Model& model) {
  THIMBLE_ASSIGN(const lower::Lowered lowered, lower::lower(model));
  std::uint64_t bytes = 0;
  for (const program::Segment& segment : lowered.program.segments) bytes += segment.size;
  return bytes;
}

Expected<std::uint64_t> payload_bytes(const ir::Model& model, const formats::Target& target) {
  if (is_thimble_target(target) || formats::writes_floats(target)) return payload_bytes(model);
  THIMBLE_ASSIGN(const formats::WrittenBytes written, formats::written_bytes(model, "", target));
  return written.weights;
}

Status collect_losses(const ir::Model& model, pass::Report& report, Environment& environment) {
  std::map<std::string, const ir::Weight*> lossy;
  for (const ir::Weight& weight : model.weights) {
    if (weight.source != nullptr && weight.source->relative_error())
      lossy.emplace(weight.name, &weight);
  }
  for (pass::PassReport& pass : report.passes) {
    std::vector<pass::Finding> found;
    for (pass::TensorDecision& decision : pass.decisions) {
      const auto weight = lossy.find(decision.tensor);
      if (weight != lossy.end() && decision.scheme == weight->second->encoding.to_string()) {
        decision.error = *weight->second->source->relative_error();
        const std::uint64_t zeros = quant::zero_groups(*weight->second->source).value_or(0);
        if (zeros > 0 && !decision.kept)
          found.push_back(passes::zero_groups(decision.tensor, zeros, decision.why));
      }
      if (auto lost = passes::lost(decision)) found.push_back(*std::move(lost));
    }
    if (found.empty()) continue;
    if (environment.globals.strict) return pass::strict_error(found, pass.pass);
    warn(pass.pass, found, environment);
    pass.findings.insert(pass.findings.end(), found.begin(), found.end());
  }
  return ok();
}

std::optional<program::CacheType> cache_named(const std::string& name) {
  if (name == "f32") return program::CacheType::kF32;
  if (name == "f16") return program::CacheType::kF16;
  if (name == "int8") return program::CacheType::kInt8;
  if (name == "int4") return program::CacheType::kInt4;
  return std::nullopt;
}

void set_caches(const recipe::Recipe& recipe, const ir::Model& model, program::Program& program) {
  const bool quantized = std::any_of(
      model.weights.begin(), model.weights.end(),
      [](const ir::Weight& w) { return w.source != nullptr && !w.encoding.is_dense(); });
  program.cache = cache_named(recipe.cache)
                      .value_or(quantized ? program::CacheType::kF16 : program::CacheType::kF32);
  program.value_cache = cache_named(recipe.value_cache);
}

}  // namespace thimble::cli
