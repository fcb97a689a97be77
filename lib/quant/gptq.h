#pragma once
// GPTQ: codes of a weight matrix such that the layer's outputs change least, one input after the
// other, each error passed on to the inputs that are still to come (Frantar et al. 2022, arXiv
// 2210.17323, Algorithm 1), and GPTAQ's term for inputs that already carry the error of the layers
// before (Li et al. 2025, arXiv 2504.02692).

#include <cstdint>
#include <span>
#include <vector>

#include "ir/weight.h"
#include "linalg/gemm.h"
#include "quant/hessian.h"
#include "quant/quantize.h"
#include "support/thread_pool.h"

namespace thimble::quant {

struct FitKernels;  // fit.h

struct GptqOptions {
  // Added to the Hessian's diagonal, as a fraction of the diagonal's mean; > 0.
  double damp = 0.01;
  // Inputs with larger diagonals first (ties: the earlier input). Implies static_groups. Codes stay
  // in the inputs' own order.
  bool act_order = false;
  // Scales of all groups from the original weights; else a group's from its weights as they are
  // when its first input is reached.
  bool static_groups = false;
  // Inputs whose errors are passed on together. Changes the speed and, without
  // an asymmetry, no bit; >= 1.
  int block_size = 128;
  // GPTAQ: (X_float - X_quant)^T X_quant, [inputs, inputs] row-major, on the same scale as the
  // Hessian (which is then X_quant^T X_quant). Empty: plain GPTQ.
  std::span<const double> asymmetry;
  double asymmetry_share = 1;  // by which the asymmetry counts
  // Null: those for this CPU.
  const FitKernels* kernels = nullptr;
  const linalg::GemmKernels* gemm_kernels = nullptr;
};

// What one Hessian gives all weights that read its inputs. The Hessian and the asymmetry are
// borrowed.
struct GptqFactors {
  GptqOptions options;
  Hessian hessian;
  std::vector<std::int64_t> order;  // of the inputs' turns
  // [inputs, inputs], permuted: the upper Cholesky factor U of the damped Hessian's inverse, and
  // GPTAQ's matrix triu(D U^T, 1) U, or nothing.
  std::vector<float> upper, pull;
};

// `hessian` is X^T X or any positive multiple of it, [inputs, inputs] row-major; only its lower
// triangle is read.
//   Errors: a Hessian that isn't finite, a negative diagonal, a damped Hessian that isn't positive
//   definite. Memory: 12 inputs^2 bytes, of which 4 inputs^2 stay.
Expected<GptqFactors> gptq_factors(std::span<const double> hessian, std::int64_t inputs,
                                   const GptqOptions& options, ThreadPool& pool);

struct GptqResult {
  ir::Rows rows;  // every row, canonical streams
  // What the layer's outputs lose over the calibration tokens: sum over rows of e H e^T, e = w -
  // decoded, by rounding to nearest with the same search and by this algorithm.
  double rounding_error = 0;
  double error = 0;
  // With an asymmetry D, times its share, what is to be added to them, sum over rows of 2 w D e^T,
  // for the error against the float model's outputs less a constant. Either sign.
  double rounding_cross_error = 0;
  double cross_error = 0;
  // Inputs that were 0 in all of the calibration (H_jj = 0): their codes are those of rounding.
  std::vector<std::int64_t> dead;
};

// Weights to what quantize_rows writes but per tensor; groups of
// super-blocks are static. Of the searches kMse weighs an input's error by its diagonal of the
// Hessian. A row's result depends on that row alone and is the same on every machine and for any
// number of threads. An error names a weight that isn't finite. Memory: 4 inputs^2 + 16 rows *
// inputs bytes, about.
Expected<GptqResult> gptq(const WeightMatrix& weights, const GptqFactors& factors,
                          const ir::Encoding& encoding, Search search, ThreadPool& pool);

}  // namespace thimble::quant
