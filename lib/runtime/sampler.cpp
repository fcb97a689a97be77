#include <algorithm>
#include <unordered_set>

#include "runtime/generate.h"
#include "support/math.h"
#include "support/rng.h"

namespace thimble::runtime {

// A token that may come next.
struct Candidate {
  std::int32_t token;
  float logit;
  double probability;
};

namespace {

// Ordered so that a heap's first is the likeliest; of equals the lower token, so that no order of
// computing shows.
bool less_likely(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit < b.logit : a.token > b.token;
}

// Candidates from the likeliest down, each ordered only when it is asked for: of a vocabulary of
// 50,000 words a draw looks at a handful, and sorting the rest would cost more than drawing.
class Ranking {
 public:
  explicit Ranking(std::span<Candidate> candidates) : candidates_(candidates) {
    std::make_heap(candidates_.begin(), candidates_.end(), less_likely);
  }

  // The candidate of `rank` (0: the likeliest). Ranks are asked for in order, or again.
  const Candidate& at(std::size_t rank) {
    for (; ranked_ <= rank; ++ranked_)
      std::pop_heap(candidates_.begin(), candidates_.end() - static_cast<std::ptrdiff_t>(ranked_),
                    less_likely);
    return candidates_[candidates_.size() - 1 - rank];
  }

 private:
  std::span<Candidate> candidates_;
  std::size_t ranked_ = 0;  // the last so many of the candidates, the likeliest at the end
};

}  // namespace

struct Sampler::State {
  SamplingOptions options;
  Rng rng;
  std::unordered_set<std::int32_t> seen;
  std::vector<Candidate> candidates;

  void weigh(std::span<const float> logits);
  std::int32_t draw();
};

// Every token as a candidate, its logit after the repetition penalty.
void Sampler::State::weigh(std::span<const float> logits) {
  candidates.clear();
  for (std::size_t i = 0; i < logits.size(); ++i)
    candidates.push_back({static_cast<std::int32_t>(i), logits[i], 0});
  const float penalty = options.repetition_penalty;
  if (penalty == 1.0f) return;
  for (const std::int32_t token : seen) {
    if (static_cast<std::size_t>(token) >= candidates.size()) continue;
    float& logit = candidates[static_cast<std::size_t>(token)].logit;
    logit = logit > 0 ? logit / penalty : logit * penalty;
  }
}

// Draws from the top_k likeliest, cut where their mass reaches top_p of all of them or one falls
// under min_p of the first.
std::int32_t Sampler::State::draw() {
  Ranking ranking(candidates);
  const double top = ranking.at(0).logit;
  std::size_t count = candidates.size();
  if (options.top_k > 0) count = std::min(count, static_cast<std::size_t>(options.top_k));
  if (count < candidates.size()) ranking.at(count - 1);
  double total = 0;
  for (Candidate& c : std::span(candidates).last(count))
    total += c.probability = math::exp((c.logit - top) / options.temperature);

  double mass = total;
  if (options.top_p < 1 || options.min_p > 0) {
    mass = 0;
    std::size_t kept = 0;
    for (; kept < count; ++kept) {
      const double probability = ranking.at(kept).probability;  // of the first: 1
      if (kept > 0 && (mass >= options.top_p * total || probability < options.min_p)) break;
      mass += probability;
    }
    count = kept;
  }
  double left = rng.uniform() * mass;
  std::size_t rank = 0;
  for (; rank + 1 < count; ++rank) {
    left -= ranking.at(rank).probability;
    if (left < 0) break;
  }
  return ranking.at(rank).token;
}

Sampler::Sampler(const SamplingOptions& options)
    : state_(new State{options, Rng(options.seed, "sampler"), {}, {}}) {}
Sampler::~Sampler() = default;

void Sampler::accept(std::span<const std::int32_t> tokens) {
  state_->seen.insert(tokens.begin(), tokens.end());
}
void Sampler::forget() { state_->seen.clear(); }

std::int32_t Sampler::sample(std::span<const float> logits) {
  state_->weigh(logits);
  if (state_->options.temperature > 0) return state_->draw();
  return std::max_element(state_->candidates.begin(), state_->candidates.end(), less_likely)->token;
}

}  // namespace thimble::runtime
