#pragma once
// ONNX's test_data_set folders as calls: input_0.pb, input_1.pb, ... in the order of the model's
// inputs.

#include <memory>
#include <string>
#include <vector>

#include "data/samples.h"

namespace thimble::data {

// Reads one TensorProto; given by whoever knows the format.
using TensorReader = Expected<Array> (*)(const std::string& path);

// The input files of each call: of the folder itself where it holds input_0.pb, else of its
// test_data_set_N, N from 0 up. A folder without either is an error.
Expected<std::vector<std::vector<std::string>>> tensor_files(const std::string& folder);

// Each test_data_set is a call, and a sequence of its own.
Expected<std::unique_ptr<SampleSource>> tensor_samples(const std::string& folder,
                                                       const std::vector<InputSpec>& inputs,
                                                       TensorReader read);

}  // namespace thimble::data
