#pragma once
// What the codes of a table stand for, ascending, in steps of a 127th of the scale's reach: a byte
// holds each, which is what the kernels look up.

#include <vector>

#include "ir/weight.h"
#include "quant/quantize.h"

namespace thimble::quant {

// Where weights lie that are nearly normally distributed; of 2 to 4 bits.
std::vector<float> normal_levels(int bits);
// NormalFloat (Dettmers et al. 2023, arXiv 2305.14314): 16 quantiles of the normal distribution
// between -1 and 1, 0 among them, in steps of a 127th.
std::vector<float> nf4_levels();
// Those of GGUF's IQ4_NL.
std::vector<float> iq4_nl_levels();
// Twice those of the 4-bit float E2M1 (OCP MX specification 1.0), with 0 for both of its zeros.
std::vector<float> e2m1_levels();
// -1, 0 and 1 for codes of 2 bits; the first is there twice.
std::vector<float> ternary_levels();

// The exponent of NVFP4's scales for a weight whose largest number is `extreme`: the least that
// leaves a scale of E4M3 room for levels up to 12.
int nvfp4_exponent(float extreme);
Expected<int> nvfp4_exponent(const ir::Weight& weight);

// Levels for weights of least squared error weighted by
// `options.importance`: weighted k-means in one dimension (Lloyd 1982) over weights divided by
// their groups' scales, by turns with the search for scales. Starts from the normal levels and
// again from uniform ones, and keeps the best levels seen, so never worse than either on these
// weights. `encoding` is a codebook of 2 to 4 bits or a super-block with one; its own table counts
// for nothing. The same levels on every machine. A weight that isn't finite is an error.
Expected<std::vector<float>> fit_levels(const WeightMatrix& weights, const ir::Encoding& encoding,
                                        const SearchOptions& options);

// The same for a weight that is to be written in `encoding`. Of more than 65536 numbers a part
// counts: runs of 16 rows, evenly spread.
Expected<std::vector<float>> fit_levels(const ir::Weight& from, const ir::Encoding& encoding,
                                        const SearchOptions& options);

}  // namespace thimble::quant
