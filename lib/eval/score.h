#pragma once
// Scores models on text: the candidate alone, or beside the reference that it was made from.

#include <functional>
#include <span>
#include <vector>

#include "data/text.h"
#include "eval/metrics.h"
#include "runtime/session.h"

namespace thimble::eval {

struct ScoreOptions {
  bool weights = false;                   // also measure kl_weights (one more run of the candidate)
  runtime::SessionOptions candidate;      // the reference always runs in f32 with an f32 cache
  std::function<void(double)> on_tokens;  // progress
};

// A decoder on windows of text. `reference` may be null. log-softmax and all sums are in f64. An
// interrupt (system::interrupted) ends it with kInterrupted.
Expected<Scores> score_text(const program::Bundle& candidate, const program::Bundle* reference,
                            const std::vector<data::Window>& windows, ThreadPool& pool,
                            const ScoreOptions& options);

// ln sum e^l, in f64; of at least one logit.
double log_sum_exp(std::span<const float> logits);

}  // namespace thimble::eval
