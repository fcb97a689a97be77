#pragma once
// A folder of pictures as calls of a model with one input.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/samples.h"

namespace thimble::data {

// PNG, JPEG, PPM and PGM files of a folder, in the order of their names, or one file. Each is
// scaled so that its shorter side has `resize` pixels (0: as it is; see image.h), the middle of the
// size that the model takes is cut out, and bytes become numbers. The model's input, f32, is [1,
// channels, height, width] or [1, height, width, channels] of 1 or 3 channels with known sizes.
// `labels`: a text with the class of each file, a number a line; empty: none.
Expected<std::unique_ptr<SampleSource>> image_samples(const std::string& path, std::int64_t resize,
                                                      const std::string& labels,
                                                      const std::vector<InputSpec>& inputs,
                                                      const Preprocessing& preprocessing);

// Of the files that are images, as files_of takes them.
const std::vector<std::string>& image_extensions();

}  // namespace thimble::data
