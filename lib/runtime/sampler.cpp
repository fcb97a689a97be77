#include <algorithm>
#include <cmath>
#include <numeric>
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

// Likeliest first; of equals the lower token, so that no order of computing shows.
bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

}  // namespace

struct Sampler::State {
  SamplingOptions options;
  Rng rng;
  std::unordered_set<std::int32_t> seen;
  std::vector<Candidate> candidates;
};

Sampler::Sampler(const SamplingOptions& options)
    : state_(new State{options, Rng(options.seed, "sampler"), {}, {}}) {}
Sampler::~Sampler() = default;

void Sampler::accept(std::int32_t token) { state_->seen.insert(token); }

std::int32_t Sampler::sample(std::span<const float> logits) {
  State& s = *state_;
  s.candidates.clear();
  for (std::size_t i = 0; i < logits.size(); ++i) {
    float logit = logits[i];
    const auto token = static_cast<std::int32_t>(i);
    if (s.options.repetition_penalty != 1.0f && s.seen.contains(token)) {
      logit =
          logit > 0 ? logit / s.options.repetition_penalty : logit * s.options.repetition_penalty;
    }
    s.candidates.push_back({token, logit, 0});
  }
  if (s.options.temperature <= 0)
    return std::min_element(s.candidates.begin(), s.candidates.end(), likelier)->token;

  std::size_t kept = s.candidates.size();
  if (s.options.top_k > 0) kept = std::min(kept, static_cast<std::size_t>(s.options.top_k));
  std::partial_sort(s.candidates.begin(), s.candidates.begin() + static_cast<std::ptrdiff_t>(kept),
                    s.candidates.end(), likelier);
  s.candidates.resize(kept);
  const double top = s.candidates.front().logit;
  double total = 0;
  for (Candidate& c : s.candidates)
    total += c.probability = math::exp((c.logit - top) / s.options.temperature);
  double mass = 0;
  std::size_t last = 0;
  for (; last < s.candidates.size(); ++last) {
    const Candidate& c = s.candidates[last];
    if (last > 0 && (mass >= s.options.top_p * total ||
                     c.probability < s.options.min_p * s.candidates.front().probability))
      break;
    mass += c.probability;
  }
  double draw = s.rng.uniform() * mass;
  for (std::size_t i = 0; i < last; ++i) {
    draw -= s.candidates[i].probability;
    if (draw < 0) return s.candidates[i].token;
  }
  return s.candidates[last - 1].token;
}

}  // namespace thimble::runtime
