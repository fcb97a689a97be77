#pragma once
// Raw tensors in and out: arrays by the graph's input and output names.

#include <string>

#include "program/bundle.h"
#include "tools/thimble/command.h"

namespace thimble::cli {

Expected<int> run_tensors(const program::Bundle& bundle, const std::string& inputs,
                          const std::string& outputs, Environment& environment);

}  // namespace thimble::cli
