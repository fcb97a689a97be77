#pragma once
// gptq on one weight, whole: every row of its matrix, and what that costs.

#include <span>

#include "ir/weight.h"
#include "quant/gptq.h"

namespace thimble::passes {

struct GptqMatrix {
  ir::Rows rows;
  double error = 0;  // squared, of the weights, as a share of theirs
  // The same of the outputs on the calibration, by gptq and by rounding.
  double output_error = 0, rounding_output_error = 0;
  std::uint64_t dead = 0;         // inputs that were always 0, over all groups
  std::uint64_t zero_groups = 0;  // of the encoding, whose weights are all 0
};

// `matrix` [rows, inputs], row-major. Factors of as many groups as the rows fall into, each with
// its part of them (one: a product; more: a grouped convolution).
Expected<GptqMatrix> gptq_matrix(std::span<const float> matrix,
                                 std::span<const quant::GptqFactors> groups,
                                 const ir::Encoding& encoding, quant::Search search,
                                 ThreadPool& pool);

}  // namespace thimble::passes
