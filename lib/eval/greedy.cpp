#include "eval/greedy.h"

#include <algorithm>
#include <array>
#include <set>

#include "eval/bootstrap.h"
#include "runtime/generate.h"
#include "support/system.h"

namespace thimble::eval {
namespace {

using Text = std::vector<std::int32_t>;

constexpr std::size_t kRun = 4;  // tokens

Expected<Text> continuation(runtime::Decoder& decoder, std::span<const std::int32_t> prompt) {
  decoder.reset();
  Text text;
  THIMBLE_ASSIGN(std::span<const float> logits, decoder.feed(prompt));
  while (true) {
    THIMBLE_TRY(system::check_interrupt());
    const auto top = std::max_element(logits.begin(), logits.end()) - logits.begin();
    text.push_back(static_cast<std::int32_t>(top));
    if (static_cast<std::int64_t>(text.size()) == kGreedyTokens) return text;
    THIMBLE_ASSIGN(logits, decoder.feed(std::span(text).last(1)));
  }
}

}  // namespace

double repetition(std::span<const std::int32_t> tokens) {
  if (tokens.size() <= kRun) return 0;
  std::set<std::array<std::int32_t, kRun>> known;
  std::size_t again = 0;
  const std::size_t runs = tokens.size() - kRun + 1;
  for (std::size_t i = 0; i < runs; ++i) {
    std::array<std::int32_t, kRun> run;
    std::copy_n(tokens.begin() + static_cast<std::ptrdiff_t>(i), kRun, run.begin());
    if (!known.insert(run).second) ++again;
  }
  return static_cast<double>(again) / static_cast<double>(runs);
}

Expected<std::vector<GreedyScore>> score_greedy(const program::Bundle& candidate,
                                                const program::Bundle& reference,
                                                std::span<const data::Window> windows,
                                                ThreadPool& pool, const GreedyOptions& options) {
  std::int64_t longest = 1;
  for (const data::Window& window : windows) longest = std::max(longest, window.first_scored);
  runtime::SessionOptions own = options.candidate, exact = runtime::SessionOptions::exact();
  own.max_context = exact.max_context = longest + kGreedyTokens - 1;  // the last is not fed
  THIMBLE_ASSIGN(const auto decoder, runtime::Decoder::create(candidate, pool, own));
  THIMBLE_ASSIGN(const auto other, runtime::Decoder::create(reference, pool, exact));
  std::vector<GreedyScore> scores;
  for (const data::Window& window : windows) {
    const auto length = static_cast<std::size_t>(std::max<std::int64_t>(window.first_scored, 1));
    const auto prompt = std::span(window.tokens).first(length);
    THIMBLE_ASSIGN(const Text text, continuation(*decoder, prompt));
    THIMBLE_ASSIGN(const Text expected, continuation(*other, prompt));
    const auto leaves = std::mismatch(text.begin(), text.end(), expected.begin()).first;
    scores.push_back({leaves - text.begin(), repetition(text), repetition(expected)});
    if (options.on_windows) options.on_windows(1);
  }
  return scores;
}

std::vector<Metric> summarize_greedy(const std::vector<GreedyScore>& scores) {
  if (scores.empty()) return {};
  std::vector<double> agreed, rises;
  for (const GreedyScore& score : scores) {
    agreed.push_back(static_cast<double>(score.agreed));
    rises.push_back(score.repetition - score.reference_repetition);
  }
  return {{"greedy_tokens", bootstrap_mean(agreed)}, {"repetition_rise", bootstrap_mean(rises)}};
}

}  // namespace thimble::eval
