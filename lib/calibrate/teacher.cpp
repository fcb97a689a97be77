#include "calibrate/teacher.h"

#include <memory>
#include <string>

#include "lower/lower.h"
#include "runtime/generate.h"
#include "support/rng.h"
#include "support/system.h"
#include "tokenizer/tokenizer.h"

namespace thimble::calibrate {
namespace {

class Teacher {
 public:
  static Expected<Teacher> create(const ir::Model& model, std::int64_t context, std::uint64_t seed,
                                  ThreadPool& pool) {
    if (model.tokenizer.empty() || model.task != ir::Task::kGenerate) {
      return unsupported("only a language model that generates can write its own text")
          .in(model.source_path)
          .fix("give data to calibrate on: --calibrate FILE, and a text to tune on: --tune FILE");
    }
    THIMBLE_ASSIGN(auto tokenizer, tokenizer::Tokenizer::load(model.tokenizer));
    auto bundle = std::make_unique<program::Bundle>();
    THIMBLE_ASSIGN(*bundle, lower::load(model, pool));
    runtime::SessionOptions options;
    options.max_context = context;
    options.cache_from_program = false;
    THIMBLE_ASSIGN(auto decoder, runtime::Decoder::create(*bundle, pool, options));
    return Teacher(std::move(tokenizer), std::move(bundle), std::move(decoder), context, seed);
  }

  Expected<data::Window> write(const std::string& name, Progress& progress) {
    Rng beginnings(seed_, name);
    runtime::SamplingOptions sampling;
    sampling.temperature = 1;
    sampling.seed = Rng(seed_, name + " tokens").next();
    runtime::Sampler sampler(sampling);
    data::Window window;
    std::int32_t token = begin(beginnings);
    for (;;) {
      window.tokens.push_back(token);
      progress.advance(1);
      if (std::ssize(window.tokens) == context_) return window;
      THIMBLE_TRY(system::check_interrupt());
      if (runtime::ends_text(*bundle_, &tokenizer_, token)) {
        token = begin(beginnings);
        continue;
      }
      THIMBLE_ASSIGN(const auto logits, decoder_->feed(std::span(&token, 1)));
      token = sampler.sample(logits);
    }
  }

 private:
  Teacher(tokenizer::Tokenizer tokenizer, std::unique_ptr<program::Bundle> bundle,
          std::unique_ptr<runtime::Decoder> decoder, std::int64_t context, std::uint64_t seed)
      : tokenizer_(std::move(tokenizer)),
        bundle_(std::move(bundle)),
        decoder_(std::move(decoder)),
        context_(context),
        seed_(seed) {}

  // The first token of a text, with nothing before it.
  std::int32_t begin(Rng& rng) {
    decoder_->reset();
    if (tokenizer_.adds_bos() && tokenizer_.bos()) return *tokenizer_.bos();
    for (;;) {
      const auto token = static_cast<std::int32_t>(rng.below(tokenizer_.vocabulary()));
      if (!tokenizer_.is_special(token) && !tokenizer_.token_bytes(token).empty()) return token;
    }
  }

  tokenizer::Tokenizer tokenizer_;
  std::unique_ptr<program::Bundle> bundle_;  // at one address: the decoder points at it
  std::unique_ptr<runtime::Decoder> decoder_;
  std::int64_t context_;
  std::uint64_t seed_;
};

std::optional<data::Window> kept(const Journal* journal, const std::string& key,
                                 std::int64_t context) {
  const auto figures = journal != nullptr ? journal->find_figures(key) : std::nullopt;
  if (!figures || std::ssize(*figures) != context) return std::nullopt;
  data::Window window;
  window.tokens.assign(figures->begin(), figures->end());
  return window;
}

Status keep(const Journal* journal, const std::string& key, const data::Window& window) {
  if (journal == nullptr) return ok();
  return journal->add_figures(key, {window.tokens.begin(), window.tokens.end()});
}

}  // namespace

Expected<std::vector<data::Window>> write_windows(const ir::Model& model,
                                                  const TextOptions& options, std::uint64_t seed,
                                                  const std::string& name, const Journal* journal,
                                                  ThreadPool& pool, Progress& progress) {
  THIMBLE_ASSIGN(const data::WindowOptions shape, window_options(model, options));
  THIMBLE_ASSIGN(Teacher teacher, Teacher::create(model, shape.context, seed, pool));
  std::vector<data::Window> windows;
  progress.begin("writing a text", static_cast<double>(shape.max_windows * shape.context),
                 "tokens");
  for (std::int64_t w = 0; w < shape.max_windows; ++w) {
    const std::string key = name + ".window." + std::to_string(w);
    std::optional<data::Window> window = kept(journal, key, shape.context);
    if (window) {
      progress.advance(static_cast<double>(shape.context));
    } else {
      THIMBLE_ASSIGN(window, teacher.write(key, progress));
      THIMBLE_TRY(keep(journal, key, *window));
    }
    windows.push_back(*std::move(window));
  }
  progress.end();
  return windows;
}

}  // namespace thimble::calibrate
