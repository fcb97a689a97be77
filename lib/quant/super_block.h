#pragma once
// Super-blocks: groups whose scales are codes of a few bits under one scale (llama.cpp's K types
// are such). Internal to lib/quant.

#include <cstdint>
#include <vector>

#include "ir/encoding.h"
#include "quant/fit.h"

namespace thimble::quant {

// The scales of one super-block of kLanes rows.
struct SuperScales {
  float scale[kLanes];                // as it is stored
  std::vector<std::uint8_t> subs;     // [groups][kLanes]
  std::vector<FitParameters> groups;  // what each group's codes follow from
};

// Fits a super-block's inputs `lanes` [n][kLanes], the first of which are those of a group. Each
// group's own best scale comes first; then the scale and sub-scales that lose least by the
// curvature of each group's error; then each sub-scale's neighbours are tried and the scale is
// refitted to the codes, by the error itself. `input` is fit_input() of the encoding, with the
// importance of these inputs.
void fit_super_block(const FitKernels& kernels, const FitInput& input, const ir::Encoding& encoding,
                     const float* lanes, std::int64_t n, SuperScales& out);

}  // namespace thimble::quant
