#pragma once
// Data sets as commands open them: with the reader of ONNX's tensors.

#include <memory>
#include <vector>

#include "recipe/data_set.h"

namespace thimble::cli {

Expected<std::unique_ptr<data::SampleSource>> open_samples(
    const recipe::DataSet& set, const std::vector<data::InputSpec>& inputs);

}  // namespace thimble::cli
