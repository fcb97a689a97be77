#pragma once
// What a run's multiplications are computed in: multiply-accumulates by instruction and type.

#include <map>
#include <string>
#include <vector>

#include "runtime/session.h"

namespace thimble::cli {

struct Macs {
  std::string name, op, type;  // of the instruction; "f32", "int8", "4-bit x int8", ...
  double count = 0;
};

// Of each instruction that multiplies matrices or convolves, in order; those of bodies once. Runs
// the session once on `inputs` to see the sizes.
Expected<std::vector<Macs>> macs_of(runtime::Session& session,
                                    std::span<const runtime::TensorView> inputs);

// The share of each type.
std::map<std::string, double> shares_of(const std::vector<Macs>& macs);

}  // namespace thimble::cli
