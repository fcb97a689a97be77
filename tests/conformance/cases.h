#pragma once
// ONNX backend test cases: a folder with model.onnx and test_data_set_N/{input,output}_K.pb; or a
// light model, NAME.onnx beside NAME_output_K.pb, whose inputs are ramps.

#include <optional>
#include <string>
#include <vector>

#include "support/thread_pool.h"

namespace thimble::conformance {

// |got - wanted| <= absolute + relative * |wanted|, as the tests' own runner compares.
struct Tolerance {
  double absolute = 1e-7;
  double relative = 1e-3;
};

enum class Outcome { kPassed, kFailed, kSkipped };

struct Result {
  Outcome outcome = Outcome::kPassed;
  std::string why;  // of the first difference, or what is not supported
};

// Where the model of a case lies.
std::string model_path(const std::string& folder);

// Reads, lowers and runs the model on every data set of the case. With `rewritten`, a file, the
// model is written there first, and it is what comes back that runs; its text must be that of the
// model.
Result run_case(const std::string& folder, const std::string& rewritten, const Tolerance& tolerance,
                ThreadPool& pool);

}  // namespace thimble::conformance
