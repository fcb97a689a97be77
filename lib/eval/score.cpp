#include "eval/score.h"

#include <algorithm>
#include <memory>

#include "runtime/generate.h"
#include "support/math.h"
#include "support/system.h"

namespace thimble::eval {
namespace {

// Tokens that both models take in step: bounds the logits that are held at once.
constexpr std::int64_t kStep = 128;

struct TokenScore {
  double nll = 0;
  double reference_nll = 0;
  double kl = 0;
  bool same_top = false;
};

TokenScore score_alone(std::span<const float> logits, std::int32_t token) {
  return {.nll = log_sum_exp(logits) - logits[static_cast<std::size_t>(token)]};
}

// KL(p || q) = sum p (log p - log q), where log p - log q = (r - c) - lse(r) + lse(c).
TokenScore score_pair(std::span<const float> reference, std::span<const float> candidate,
                      std::int32_t token) {
  const auto reference_top = std::max_element(reference.begin(), reference.end());
  const auto candidate_top = std::max_element(candidate.begin(), candidate.end());
  double reference_sum = 0, candidate_sum = 0, difference = 0;
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const double p = math::exp(static_cast<double>(reference[i]) - *reference_top);
    reference_sum += p;
    difference += p * (static_cast<double>(reference[i]) - candidate[i]);
    candidate_sum += math::exp(static_cast<double>(candidate[i]) - *candidate_top);
  }
  const double reference_lse = *reference_top + math::log(reference_sum);
  const double candidate_lse = *candidate_top + math::log(candidate_sum);
  TokenScore score;
  score.nll = candidate_lse - candidate[static_cast<std::size_t>(token)];
  score.reference_nll = reference_lse - reference[static_cast<std::size_t>(token)];
  score.kl = difference / reference_sum - reference_lse + candidate_lse;
  score.same_top = reference_top - reference.begin() == candidate_top - candidate.begin();
  return score;
}

// One model's logits for a step of a window, [positions, vocabulary].
class Stepper {
 public:
  static Expected<Stepper> create(const program::Bundle& bundle, ThreadPool& pool,
                                  runtime::SessionOptions options, std::int64_t context) {
    options.max_context = context;
    Stepper stepper;
    THIMBLE_ASSIGN(stepper.decoder_, runtime::Decoder::create(bundle, pool, options));
    return stepper;
  }
  Status step(std::span<const std::int32_t> tokens, std::int64_t first) {
    const auto vocabulary = static_cast<std::size_t>(decoder_->vocabulary());
    logits_.resize(static_cast<std::size_t>(std::max<std::int64_t>(
                       static_cast<std::int64_t>(tokens.size()) - first, 0)) *
                   vocabulary);
    std::size_t at = 0;
    return decoder_->feed_all(tokens, first, [&](std::int64_t, std::span<const float> row) {
      std::copy(row.begin(), row.end(),
                logits_.begin() + static_cast<std::ptrdiff_t>(at++ * vocabulary));
    });
  }
  std::span<const float> row(std::size_t position) const {
    const auto vocabulary = static_cast<std::size_t>(decoder_->vocabulary());
    return std::span(logits_).subspan(position * vocabulary, vocabulary);
  }
  runtime::Decoder& decoder() { return *decoder_; }

 private:
  std::unique_ptr<runtime::Decoder> decoder_;
  std::vector<float> logits_;
};

class TextScorer {
 public:
  TextScorer(ThreadPool& pool, const ScoreOptions& options) : pool_(pool), options_(options) {}

  Status prepare(const program::Bundle& candidate, const program::Bundle* reference,
                 std::int64_t context) {
    THIMBLE_ASSIGN(Stepper own, Stepper::create(candidate, pool_, options_.candidate, context));
    candidate_ = std::make_unique<Stepper>(std::move(own));
    if (reference == nullptr) return ok();
    const auto exact = runtime::SessionOptions::exact();
    THIMBLE_ASSIGN(Stepper other, Stepper::create(*reference, pool_, exact, context));
    reference_ = std::make_unique<Stepper>(std::move(other));
    if (reference_->decoder().vocabulary() != candidate_->decoder().vocabulary()) {
      return invalid_argument("the two models have different vocabularies")
          .fix("compare copies of one model");
    }
    if (!options_.weights) return ok();
    THIMBLE_ASSIGN(Stepper weights, Stepper::create(candidate, pool_, exact, context));
    weights_ = std::make_unique<Stepper>(std::move(weights));
    return ok();
  }

  Expected<WindowScore> score(const data::Window& window, std::vector<float>& token_kl) {
    for (Stepper* stepper : {candidate_.get(), reference_.get(), weights_.get()}) {
      if (stepper != nullptr) stepper->decoder().reset();
    }
    WindowScore sum;
    const std::span<const std::int32_t> tokens = window.tokens;
    // The last token predicts nothing that is scored.
    const auto count = static_cast<std::int64_t>(tokens.size()) - 1;
    for (std::int64_t begin = 0; begin < count; begin += kStep) {
      THIMBLE_TRY(system::check_interrupt());
      const std::int64_t length = std::min(kStep, count - begin);
      const std::int64_t first =
          std::clamp<std::int64_t>(window.first_scored - 1 - begin, 0, length);
      THIMBLE_TRY(step(
          tokens.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(length)), first,
          tokens.subspan(static_cast<std::size_t>(begin + first + 1),
                         static_cast<std::size_t>(length - first)),
          sum, token_kl));
      if (options_.on_tokens) options_.on_tokens(static_cast<double>(length));
    }
    return sum;
  }

 private:
  Status step(std::span<const std::int32_t> tokens, std::int64_t first,
              std::span<const std::int32_t> targets, WindowScore& sum,
              std::vector<float>& token_kl) {
    for (Stepper* stepper : {candidate_.get(), reference_.get(), weights_.get()}) {
      if (stepper != nullptr) THIMBLE_TRY(stepper->step(tokens, first));
    }
    std::vector<TokenScore> scores(targets.size());
    std::vector<double> weight_kl(targets.size());
    pool_.parallel_each(targets.size(), 1, [&](std::size_t i) {
      scores[i] = reference_ == nullptr
                      ? score_alone(candidate_->row(i), targets[i])
                      : score_pair(reference_->row(i), candidate_->row(i), targets[i]);
      if (weights_ != nullptr)
        weight_kl[i] = score_pair(reference_->row(i), weights_->row(i), targets[i]).kl;
    });
    for (std::size_t i = 0; i < scores.size(); ++i) {
      sum.tokens += 1;
      sum.nll += scores[i].nll;
      sum.reference_nll += scores[i].reference_nll;
      sum.kl += scores[i].kl;
      sum.kl_weights += weight_kl[i];
      sum.same_top += scores[i].same_top ? 1 : 0;
      if (reference_ != nullptr) token_kl.push_back(static_cast<float>(scores[i].kl));
    }
    return ok();
  }

  ThreadPool& pool_;
  const ScoreOptions& options_;
  std::unique_ptr<Stepper> candidate_, reference_, weights_;
};

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  const float top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float l : logits) sum += math::exp(static_cast<double>(l) - top);
  return top + math::log(sum);
}

Expected<Scores> score_text(const program::Bundle& candidate, const program::Bundle* reference,
                            const std::vector<data::Window>& windows, ThreadPool& pool,
                            const ScoreOptions& options) {
  std::size_t longest = 0;
  for (const data::Window& window : windows) longest = std::max(longest, window.tokens.size());
  TextScorer scorer(pool, options);
  THIMBLE_TRY(scorer.prepare(candidate, reference, static_cast<std::int64_t>(longest)));
  Scores scores;
  scores.has_reference = reference != nullptr;
  scores.has_weights = reference != nullptr && options.weights;
  for (const data::Window& window : windows) {
    THIMBLE_ASSIGN(const WindowScore score, scorer.score(window, scores.token_kl));
    scores.windows.push_back(score);
  }
  return scores;
}

}  // namespace thimble::eval
