#pragma once
// Half-quadratic quantization (HQQ, Badri and Shaji 2023): minima that suit most weights and let a
// few outliers err, found without data.

#include "quant/quantize.h"
#include "support/thread_pool.h"

namespace thimble::quant {

struct HqqOptions {
  double norm = 0.7;     // p of |error|^p, which is made small; in (0, 1)
  double beta = 10;      // weight of the quadratic term at first; > 0
  double growth = 1.01;  // of it per iteration; >= 1
  int iterations = 20;   // at most: a group's stop once its mean |error| doesn't fall; >= 1
};

// Quantizes weights to affine codes with minima, per row or group.
// Scales are those of the extremes; minima -scale * zero follow from alternating, with x = w /
// scale,
//   code = nearest to x + zero
//   e = shrink(x - (code - zero)), shrink(t) = sign(t) max(0, |t| - |t|^(p-1) / beta)
//   zero = mean of code - (x - e)
// The authors' code shrinks errors of w itself; in steps, as here, the result doesn't depend on the
// weights' unit. The minima are those of the iteration with the least mean |error|, rounded to the
// encoding's scale_type; codes follow from them. Row by row, the same on every machine.
Status hqq(const WeightMatrix& weights, const ir::Encoding& encoding, const HqqOptions& options,
           ir::Rows& out, ThreadPool& pool);

}  // namespace thimble::quant
