#include "eval/embeddings.h"

#include <cmath>

#include "unit/catch.h"

using namespace thimble;
using namespace thimble::eval;

namespace {

const Interval& interval_of(const std::vector<Metric>& metrics, std::string_view name) {
  const Metric* metric = find(metrics, name);
  REQUIRE(metric != nullptr);
  return metric->interval;
}

std::vector<float> direction(double angle) {
  return {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
}

// The reference's lines point anywhere within a right angle, the candidate's off by `noise` times
// something as irregular.
std::vector<EmbeddedLine> lines_of(std::size_t count, double noise) {
  std::vector<EmbeddedLine> lines;
  std::uint64_t state = 11;
  const auto uniform = [&] {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state >> 40) / 16777216.0;
  };
  for (std::size_t i = 0; i < count; ++i) {
    const double angle = uniform() * 1.5;
    lines.push_back({direction(angle + noise * (uniform() - 0.5)), direction(angle)});
  }
  return lines;
}

// Of all pairs, by the definition.
double spearman(const std::vector<EmbeddedLine>& lines) {
  std::vector<double> a, b;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (std::size_t j = i + 1; j < lines.size(); ++j) {
      a.push_back(lines[i].candidate[0] * static_cast<double>(lines[j].candidate[0]) +
                  lines[i].candidate[1] * static_cast<double>(lines[j].candidate[1]));
      b.push_back(lines[i].reference[0] * static_cast<double>(lines[j].reference[0]) +
                  lines[i].reference[1] * static_cast<double>(lines[j].reference[1]));
    }
  }
  const auto rank = [](const std::vector<double>& all, double one) {
    double below = 0;
    for (const double other : all) below += other < one ? 1 : other == one ? 0.5 : 0;
    return below;
  };
  const double middle = static_cast<double>(a.size()) / 2;
  double covariance = 0, own = 0, other = 0;
  for (std::size_t p = 0; p < a.size(); ++p) {
    const double x = rank(a, a[p]) - middle, y = rank(b, b[p]) - middle;
    covariance += x * y;
    own += x * x;
    other += y * y;
  }
  return covariance / std::sqrt(own * other);
}

}  // namespace

TEST_CASE("embeddings that are the reference's own agree in all") {
  const auto metrics = summarize_embeddings(lines_of(20, 0));
  CHECK(interval_of(metrics, "cosine_mean").value == Approx(1).margin(1e-6));
  CHECK(interval_of(metrics, "cosine_min").value == Approx(1).margin(1e-6));
  CHECK(interval_of(metrics, "rank_correlation").value == Approx(1).margin(1e-12));
  CHECK(interval_of(metrics, "rank_correlation").low == Approx(1).margin(1e-12));
}

TEST_CASE("the rank correlation is Spearman's over pairs, with an interval") {
  // Up to 2 * 16 + 1 lines, an odd number, every pair counts.
  for (const std::size_t count : {std::size_t{3}, std::size_t{7}, std::size_t{33}}) {
    for (const double noise : {0.1, 0.5, 2.0}) {
      CAPTURE(count, noise);
      const auto lines = lines_of(count, noise);
      const Interval correlation = interval_of(summarize_embeddings(lines), "rank_correlation");
      CHECK(correlation.value == Approx(spearman(lines)).margin(1e-9));
      CHECK(correlation.low <= correlation.value);
      CHECK(correlation.high >= correlation.value);
    }
  }
  const auto near = summarize_embeddings(lines_of(33, 0.1));
  const auto far = summarize_embeddings(lines_of(33, 2.0));
  CHECK(interval_of(far, "rank_correlation").high < interval_of(near, "rank_correlation").low);
}

TEST_CASE("two lines have no ranks, and none has no cosine") {
  CHECK(find(summarize_embeddings(lines_of(2, 0.1)), "rank_correlation") == nullptr);
  CHECK(summarize_embeddings({}).empty());
}

TEST_CASE("a sentence is cut to an encoder's positions between what is put around it") {
  tokenizer::Tables tables;
  tables.byte_level = true;
  for (int b = 0; b < 256; ++b) tables.tokens.push_back({std::string(1, static_cast<char>(b))});
  tables.tokens.push_back({"<cls>", 0, tokenizer::TokenKind::kControl});
  tables.tokens.push_back({"<sep>", 0, tokenizer::TokenKind::kControl});
  tables.prefix = {256};
  tables.suffix = {257};
  const auto tokenizer = tokenizer::Tokenizer::create(std::move(tables));
  REQUIRE(tokenizer.has_value());
  using Tokens = std::vector<std::int32_t>;
  const Sentence cut = sentence_of(*tokenizer, "abcdef", 5);
  CHECK(cut.tokens == Tokens{256, 'a', 'b', 'c', 257});
  CHECK(cut.cut);
  const Sentence whole = sentence_of(*tokenizer, "abc", 5);
  CHECK(whole.tokens == Tokens{256, 'a', 'b', 'c', 257});
  CHECK_FALSE(whole.cut);
  CHECK(sentence_of(*tokenizer, "abcdef", 0).tokens.size() == 8);
}
