#pragma once
// Inputs for models that take tensors, as `calibrate` and `evaluate` name them.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/samples.h"
#include "data/tensor_files.h"
#include "data/wav.h"
#include "pass/options.h"

namespace thimble::recipe {

// Files as a recipe or the command line names them: one kind of them, or none.
struct DataSet {
  std::string npz;                    // an archive or a folder of them
  std::string idx;                    // images
  std::string images;                 // a folder of pictures
  std::string labels;                 // of `idx` or `images`
  std::string wav;                    // a file or a folder of them
  std::string onnx_test_data;         // a folder of test_data_set_N, each with input_M.pb, or one
  std::int64_t resize = 0;            // the shorter side of `images`; 0: as they are
  data::Preprocessing preprocessing;  // of both kinds of images
  data::Framing framing;              // of sound
  std::string fill;                   // numbers for inputs that sound does not say
  std::string states;                 // carried from call to call: "state=stateN"
  std::int64_t samples = 0;           // calls at most; 0: all

  bool empty() const {
    return npz.empty() && idx.empty() && wav.empty() && images.empty() && onnx_test_data.empty();
  }
};

// The keys that say a data set, for the description of the key that holds them.
std::vector<pass::OptionInfo> data_set_options();
// From checked options; paths are not resolved. An error when they name two sets, or say of one
// what belongs to another.
Expected<DataSet> data_set_of(const pass::Options& options);
// A file that the command line names in place of the recipe's: an .npz or .wav is a data set,
// anything else a text. Nothing where it names none. How sound is cut stays as the recipe says.
void name_file(const std::string& path, std::string& text, DataSet& set);
// Every path of it.
std::vector<std::string*> paths_of(DataSet& set);
// The calls that the set holds, for a model with these inputs; states are not brought. Tensors of
// ONNX are read by `read_tensor`, for whoever knows the format.
Expected<std::unique_ptr<data::SampleSource>> open_data_set(
    const DataSet& set, const std::vector<data::InputSpec>& inputs, data::TensorReader read_tensor);

// Of the bytes of its files and of how they are read.
Expected<std::string> digest_of(const DataSet& set);

}  // namespace thimble::recipe
