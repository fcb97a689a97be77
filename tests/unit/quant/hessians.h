#pragma once
// Inputs of a layer as networks have them: correlated, a few much larger, and their Hessians.

#include <cstdint>
#include <vector>

#include "linalg/gram.h"
#include "quant/gptq.h"
#include "support/rng.h"

namespace thimble::test {

inline std::vector<float> correlated_inputs(std::int64_t tokens, std::int64_t inputs,
                                            std::uint64_t seed) {
  Rng rng(seed, "inputs");
  std::vector<float> x(static_cast<std::size_t>(tokens * inputs));
  for (std::int64_t t = 0; t < tokens; ++t) {
    const double common = rng.normal();
    for (std::int64_t i = 0; i < inputs; ++i) {
      const double size = i % 17 == 5 ? 8 : 1;
      x[static_cast<std::size_t>(t * inputs + i)] =
          static_cast<float>(size * (0.8 * common + 0.6 * rng.normal()));
    }
  }
  return x;
}

// The lower triangle of X^T X.
inline std::vector<double> hessian_of(const std::vector<float>& x, std::int64_t inputs) {
  ThreadPool pool(1);
  const std::int64_t tokens = std::ssize(x) / inputs;
  std::vector<float> shard(static_cast<std::size_t>(inputs * inputs));
  std::vector<double> h(shard.size());
  linalg::gram(x, tokens, inputs, shard, pool);
  linalg::fold(shard, h, pool);
  return h;
}

// Factors of the Hessian for one weight alone.
inline Expected<quant::GptqResult> gptq(const quant::WeightMatrix& weights,
                                        std::span<const double> hessian,
                                        const ir::Encoding& encoding,
                                        const quant::GptqOptions& options, ThreadPool& pool,
                                        quant::Search search = quant::Search::kMse) {
  THIMBLE_ASSIGN(const auto factors, quant::gptq_factors(hessian, weights.inputs, options, pool));
  return quant::gptq(weights, factors, encoding, search, pool);
}

}  // namespace thimble::test
