#pragma once
// Inputs for models that take tensors, as `calibrate` and `evaluate` name them.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/samples.h"
#include "data/wav.h"
#include "pass/options.h"

namespace thimble::recipe {

// Files as a recipe or the command line names them: one kind of them, or none.
struct DataSet {
  std::string npz;                    // an archive or a folder of them
  std::string idx;                    // images
  std::string labels;                 // of `idx`
  std::string wav;                    // a file or a folder of them
  data::Preprocessing preprocessing;  // of images
  data::Framing framing;              // of sound
  std::string fill;                   // numbers for inputs that sound does not say
  std::string states;                 // carried from call to call: "state=stateN"
  std::int64_t samples = 0;           // calls at most; 0: all

  bool empty() const { return npz.empty() && idx.empty() && wav.empty(); }
};

// The keys that say a data set, for the description of the key that holds them.
std::vector<pass::OptionInfo> data_set_options();
// From checked options; paths are not resolved. An error when they name two sets, or say of one
// what belongs to another.
Expected<DataSet> data_set_of(const pass::Options& options);
// Every path of it.
std::vector<std::string*> paths_of(DataSet& set);
// The calls that the set holds, for a model with these inputs; states are not brought.
Expected<std::unique_ptr<data::SampleSource>> open_data_set(
    const DataSet& set, const std::vector<data::InputSpec>& inputs);

// Of the bytes of its files and of how they are read.
Expected<std::string> digest_of(const DataSet& set);

}  // namespace thimble::recipe
