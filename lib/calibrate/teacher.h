#pragma once
// Text to calibrate or tune on that the float model writes itself, for users who have none: what a
// model finds likely is close to what it was trained on (Liu et al., LLM-QAT, 2023, section 3.1).

#include <cstdint>
#include <string>
#include <vector>

#include "calibrate/calibration.h"
#include "support/progress.h"

namespace thimble::calibrate {

// Windows of tokens sampled from the model's own distribution (temperature 1, nothing cut off), as
// `run` computes it. Each window begins with BOS, or with a token drawn evenly from the vocabulary
// where the tokenizer adds no BOS; after an end of text the next one begins in the same way.
// Windows depend on the seed, the text's name and their number alone and go into the journal as
// they are done. The same on every machine. Errors: a model that doesn't generate, a context longer
// than the model's, an interruption.
Expected<std::vector<data::Window>> write_windows(const ir::Model& model,
                                                  const TextOptions& options, std::uint64_t seed,
                                                  const std::string& name, const Journal* journal,
                                                  ThreadPool& pool, Progress& progress);

}  // namespace thimble::calibrate
