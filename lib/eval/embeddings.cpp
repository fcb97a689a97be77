#include "eval/embeddings.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "eval/bootstrap.h"
#include "support/system.h"

namespace thimble::eval {
namespace {

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
    sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

std::vector<float> of_length_one(std::vector<float> values) {
  const double length = std::sqrt(dot(values, values));
  for (float& value : values)
    value = length > 0 ? static_cast<float>(static_cast<double>(value) / length) : 0;
  return values;
}

// Spearman's coefficient over resampled lines. Similarities are sorted once; how often each line
// was drawn then gives ranks in one walk, so that a thousand resamples cost little.
class RankCorrelation {
 public:
  explicit RankCorrelation(const std::vector<EmbeddedLine>& lines)
      : times_(lines.size()), following_(std::min(kPairsOfLine, (lines.size() - 1) / 2)) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      for (std::size_t k = 1; k <= following_; ++k) {
        const EmbeddedLine& other = lines[(i + k) % lines.size()];
        candidate_.similarity.push_back(dot(lines[i].candidate, other.candidate));
        reference_.similarity.push_back(dot(lines[i].reference, other.reference));
      }
    }
    sort(candidate_);
    sort(reference_);
  }

  double operator()(const std::vector<std::size_t>& drawn) {
    std::fill(times_.begin(), times_.end(), 0.0);
    for (const std::size_t line : drawn) times_[line] += 1;
    rank(candidate_);
    rank(reference_);
    double covariance = 0, own = 0, other = 0;
    const double middle = (static_cast<double>(drawn.size() * following_) + 1) / 2;
    for (std::size_t p = 0; p < candidate_.ranks.size(); ++p) {
      const double a = candidate_.ranks[p] - middle, b = reference_.ranks[p] - middle;
      covariance += times(p) * a * b;
      own += times(p) * a * a;
      other += times(p) * b * b;
    }
    return own > 0 && other > 0 ? covariance / std::sqrt(own * other) : 0;
  }

 private:
  struct Side {
    std::vector<double> similarity, ranks;  // by pair
    std::vector<std::size_t> order;         // of pairs, by similarity
  };

  static void sort(Side& side) {
    side.ranks.resize(side.similarity.size());
    side.order.resize(side.similarity.size());
    std::iota(side.order.begin(), side.order.end(), std::size_t{0});
    std::stable_sort(side.order.begin(), side.order.end(), [&](std::size_t a, std::size_t b) {
      return side.similarity[a] < side.similarity[b];
    });
  }
  double times(std::size_t pair) const { return times_[pair / following_]; }

  // Equal similarities share the mean of their ranks.
  void rank(Side& side) const {
    double before = 0;
    for (std::size_t begin = 0, end = 0; begin < side.order.size(); begin = end) {
      double equal = 0;
      const double similarity = side.similarity[side.order[begin]];
      for (; end < side.order.size() && side.similarity[side.order[end]] == similarity; ++end)
        equal += times(side.order[end]);
      for (std::size_t i = begin; i < end; ++i)
        side.ranks[side.order[i]] = before + (equal + 1) / 2;
      before += equal;
    }
  }

  std::vector<double> times_;  // that each line was drawn
  std::size_t following_;
  Side candidate_, reference_;
};

}  // namespace

Sentence sentence_of(const tokenizer::Tokenizer& tokenizer, std::string_view text,
                     std::int64_t most) {
  Sentence sentence{tokenizer.encode(text), false};
  std::vector<std::int32_t>& tokens = sentence.tokens;
  const auto excess = static_cast<std::ptrdiff_t>(tokens.size()) - most;
  if (most <= 0 || excess <= 0) return sentence;
  const auto after = static_cast<std::ptrdiff_t>(tokenizer.tables().suffix.size());
  const auto end = tokens.end() - std::min(after, std::ptrdiff_t{most});
  tokens.erase(end - excess, end);
  sentence.cut = true;
  return sentence;
}

Expected<std::vector<float>> embed(runtime::Session& session,
                                   const std::vector<std::int32_t>& tokens) {
  const program::Program& program = session.bundle().program;
  const auto length = static_cast<std::int64_t>(tokens.size());
  const std::vector<std::int64_t> ids(tokens.begin(), tokens.end());
  const std::vector<std::int64_t> ones(tokens.size(), 1), zeros(tokens.size(), 0);
  std::vector<runtime::TensorView> inputs;
  for (const std::int32_t slot : program.regions[0].inputs) {
    const std::string& name = program.slot(slot).name;
    const auto& values = name == "input_ids" ? ids : name == "attention_mask" ? ones : zeros;
    inputs.push_back({program::Type::kI64, {1, length}, values.data()});
  }
  THIMBLE_TRY(session.run(inputs));
  for (std::size_t i = 0; i < session.outputs().size(); ++i) {
    const auto slot = static_cast<std::size_t>(program.regions[0].outputs[i]);
    if (program.slots[slot].name != "sentence_embedding") continue;
    const auto* data = static_cast<const float*>(session.outputs()[i].data);
    return std::vector<float>(data, data + session.outputs()[i].count());
  }
  const runtime::TensorView& hidden = session.outputs().front();
  const auto width = static_cast<std::size_t>(hidden.dims.back());
  std::vector<float> mean(width, 0.0f);
  const auto* data = static_cast<const float*>(hidden.data);
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    for (std::size_t i = 0; i < width; ++i)
      mean[i] += data[t * width + i] / static_cast<float>(length);
  }
  return mean;
}

Expected<std::vector<EmbeddedLine>> embed_lines(const program::Bundle& candidate,
                                                const program::Bundle& reference,
                                                const std::vector<std::string>& lines,
                                                ThreadPool& pool, const EmbeddingOptions& options) {
  THIMBLE_ASSIGN(const auto tokenizer, tokenizer::Tokenizer::load(candidate.tokenizer));
  THIMBLE_ASSIGN(const auto own, runtime::Session::create(candidate, pool, options.candidate));
  THIMBLE_ASSIGN(const auto other,
                 runtime::Session::create(reference, pool, runtime::SessionOptions::exact()));
  std::vector<EmbeddedLine> embedded;
  for (const std::string& line : lines) {
    THIMBLE_TRY(system::check_interrupt());
    const Sentence sentence = sentence_of(tokenizer, line, candidate.program.max_context);
    if (!sentence.tokens.empty()) {
      THIMBLE_ASSIGN(auto of_candidate, embed(*own, sentence.tokens));
      THIMBLE_ASSIGN(auto of_reference, embed(*other, sentence.tokens));
      embedded.push_back({of_length_one(std::move(of_candidate)),
                          of_length_one(std::move(of_reference)), sentence.cut});
    }
    if (options.on_lines) options.on_lines(1);
  }
  return embedded;
}

std::vector<Metric> summarize_embeddings(const std::vector<EmbeddedLine>& lines) {
  if (lines.empty()) return {};
  std::vector<double> cosines;
  for (const EmbeddedLine& line : lines) cosines.push_back(dot(line.candidate, line.reference));
  const double least = *std::min_element(cosines.begin(), cosines.end());
  std::vector<Metric> metrics = {{"cosine_mean", bootstrap_mean(cosines)},
                                 {"cosine_min", Interval::exact(least)}};
  if (lines.size() >= 3) {
    RankCorrelation correlation(lines);
    metrics.push_back(
        {"rank_correlation", bootstrap(lines.size(), [&](const std::vector<std::size_t>& drawn) {
           return correlation(drawn);
         })});
  }
  return metrics;
}

}  // namespace thimble::eval
