#pragma once
// Scores encoders on lines of text: how near the candidate's sentence embeddings are to the
// reference's, and whether they rank pairs of sentences alike.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/metrics.h"
#include "program/bundle.h"
#include "runtime/session.h"
#include "tokenizer/tokenizer.h"

namespace thimble::eval {

// A sentence's tokens. A text that is longer than an encoder's positions (`most`; 0: no limit) is
// cut, as Hugging Face's truncation does: what the tokenizer puts around it stays.
struct Sentence {
  std::vector<std::int32_t> tokens;
  bool cut = false;
};
Sentence sentence_of(const tokenizer::Tokenizer& tokenizer, std::string_view text,
                     std::int64_t most);

// One sentence through an encoder: its sentence embedding where the model has one, else the mean of
// the last hidden states. [width]
Expected<std::vector<float>> embed(runtime::Session& session,
                                   const std::vector<std::int32_t>& tokens);

// A line's embeddings, each of length 1 (or all zeros). [width]
struct EmbeddedLine {
  std::vector<float> candidate, reference;
  bool cut = false;  // see sentence_of
};

struct EmbeddingOptions {
  runtime::SessionOptions candidate;     // the reference always runs in f32
  std::function<void(double)> on_lines;  // progress
};

// Lines without a token are left out. An interrupt (system::interrupted) ends it with kInterrupted.
Expected<std::vector<EmbeddedLine>> embed_lines(const program::Bundle& candidate,
                                                const program::Bundle& reference,
                                                const std::vector<std::string>& lines,
                                                ThreadPool& pool, const EmbeddingOptions& options);

// cosine_mean and cosine_min, of candidate and reference; from 3 lines on rank_correlation:
// Spearman's coefficient of the candidate's and the reference's similarities of pairs of lines,
// each line with the kPairsOfLine that follow it, round the end. Intervals are over lines.
inline constexpr std::size_t kPairsOfLine = 16;
std::vector<Metric> summarize_embeddings(const std::vector<EmbeddedLine>& lines);

}  // namespace thimble::eval
