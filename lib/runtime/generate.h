#pragma once
// Language models on top of a Session: prefill in chunks, decode, sampling.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "runtime/session.h"
#include "tokenizer/tokenizer.h"

namespace thimble::runtime {

struct SamplingOptions {
  float temperature = 0;   // 0: greedy
  std::int64_t top_k = 0;  // 0: all
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;  // over the tokens so far (CTRL, arXiv 1909.05858, section 4.1)
  std::uint64_t seed = 0;
};

// Picks tokens; its randomness is its own, so the same seed gives the same text everywhere.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  ~Sampler();
  std::int32_t sample(std::span<const float> logits);
  void accept(std::span<const std::int32_t> tokens);  // they count for the repetition penalty
  void forget();                                      // no token counts any more

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Whether `token` ends a text: one of those that the model or its tokenizer (null: none) names.
bool ends_text(const program::Bundle& bundle, const tokenizer::Tokenizer* tokenizer,
               std::int32_t token);

// Rows of the table in which a decoder looks its positions up, as GPT-2 does: it has none for more
// tokens. 0: it has no such table.
std::int64_t learnt_positions(const program::Program& program);
// An error when there are fewer of them than `wanted`.
Status check_positions(const program::Program& program, std::int64_t wanted);

// A decoder: inputs input_ids, position_ids i64 [1, seq] and logit_positions i64 [n]; output logits
// [1, n, vocabulary].
class Decoder {
 public:
  // Tokens per prefill call; bounds the activation memory.
  static constexpr std::int64_t kChunk = 512;

  static Expected<std::unique_ptr<Decoder>> create(const program::Bundle& bundle, ThreadPool& pool,
                                                   const SessionOptions& options = {});
  // Feeds tokens after those already cached and returns the logits of the last one, [vocabulary].
  // The view is valid until the next call. `on_chunk` hears how many tokens are done.
  Expected<std::span<const float>> feed(std::span<const std::int32_t> tokens,
                                        const std::function<void(std::int64_t)>& on_chunk = {});
  // Feeds tokens and hands the logits of every position from `first` on to `visit(position,
  // logits)`.
  Status feed_all(std::span<const std::int32_t> tokens, std::int64_t first,
                  const std::function<void(std::int64_t, std::span<const float>)>& visit);
  std::int64_t cached() const;
  std::int64_t capacity() const;  // tokens that it can hold: of its caches, or those it has learnt
  Status truncate(std::int64_t positions);
  void reset();
  std::int64_t vocabulary() const;
  Session& session();

 private:
  struct State;
  explicit Decoder(std::unique_ptr<State> state);

 public:
  ~Decoder();

 private:
  std::unique_ptr<State> state_;
};

}  // namespace thimble::runtime
