#pragma once
// How a compressed model runs free: greedy text feeds on itself, so that what is lost per token
// adds up, which KL on given text doesn't show.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/text.h"
#include "eval/metrics.h"
#include "program/bundle.h"
#include "runtime/session.h"

namespace thimble::eval {

inline constexpr std::int64_t kGreedyTokens = 64;  // that are written after each prompt

// What two models write after one prompt.
struct GreedyScore {
  std::int64_t agreed = 0;  // tokens until the candidate leaves the reference's text
  double repetition = 0, reference_repetition = 0;  // see repetition()
};

// The share of runs of 4 tokens that were there before. 0 for fewer than 5 tokens.
double repetition(std::span<const std::int32_t> tokens);

struct GreedyOptions {
  runtime::SessionOptions candidate;       // the reference runs in f32 with an f32 cache
  std::function<void(double)> on_windows;  // progress
};

// The tokens of each window before the first that would be scored are a prompt, at least one token.
// A token that ends a text is one like any other. An interrupt ends it with kInterrupted.
Expected<std::vector<GreedyScore>> score_greedy(const program::Bundle& candidate,
                                                const program::Bundle& reference,
                                                std::span<const data::Window> windows,
                                                ThreadPool& pool, const GreedyOptions& options);

// greedy_tokens (mean of `agreed`) and repetition_rise (mean of the candidate's less the
// reference's), with intervals over windows.
std::vector<Metric> summarize_greedy(const std::vector<GreedyScore>& scores);

}  // namespace thimble::eval
