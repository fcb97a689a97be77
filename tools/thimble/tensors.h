#pragma once
// Raw tensors in and out: arrays by the graph's input and output names.

#include <string>

#include "recipe/data_set.h"
#include "tools/thimble/command.h"
#include "tools/thimble/open.h"

namespace thimble::cli {

struct TensorRequest {
  std::string inputs;    // an .npz; or
  recipe::DataSet data;  // sound; either with states that are carried from call to call
  std::string outputs;   // where to write; empty: nowhere
  bool empty() const { return inputs.empty() && data.empty(); }
};

// One call; with states or sound, one per frame: arrays with one more axis in front than the model
// takes hold a frame in each entry, others are the same for all. Outputs then have the frames in
// front, but for those that are carried: the last call's. Sizes of inputs outside of what `--dim`
// said, now or when the file was written, are errors.
Expected<int> run_tensors(const Opened& opened, const TensorRequest& request,
                          Environment& environment);

}  // namespace thimble::cli
