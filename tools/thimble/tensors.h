#pragma once
// Raw tensors in and out: arrays by the graph's input and output names.

#include <string>

#include "tools/thimble/command.h"
#include "tools/thimble/open.h"

namespace thimble::cli {

// Sizes of inputs outside of what `--dim` said, now or when the file was written, are errors.
Expected<int> run_tensors(const Opened& opened, const std::string& inputs,
                          const std::string& outputs, Environment& environment);

}  // namespace thimble::cli
