#pragma once
// Text generation for `run`: one prompt, or a chat of several turns.

#include <string>
#include <vector>

#include "program/bundle.h"
#include "runtime/generate.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

struct GenerationChoices {
  std::string prompt;
  std::int64_t tokens = 256;
  bool chat = false;
  std::string system;
  std::vector<std::string> stop;
  float temperature = -1;  // negative: 0, the likeliest token
  std::int64_t top_k = -1;
  float top_p = -1;
  float min_p = 0;
  float repetition_penalty = -1;
  std::uint64_t seed = 0;
  std::string cache;  // see add_cache_option
  std::int64_t context = 0;
  bool ignore_eos = false;
};

void add_generation_options(CLI::App& command, GenerationChoices& choices);
// stdout gets the continuation alone.
Expected<int> generate(const program::Bundle& bundle, const std::string& path,
                       const GenerationChoices& choices, Environment& environment);
// An encoder's embedding of a text, as JSON numbers on one line.
Expected<int> embed_text(const program::Bundle& bundle, const std::string& path,
                         const std::string& text, Environment& environment);

// --kv: the type of a session's caches, or those of keys and values apart; empty: the model's.
void add_cache_option(CLI::App& command, std::string& cache);
Status set_cache(const std::string& cache, runtime::SessionOptions& options);

}  // namespace thimble::cli
