#include "recipe/data_set.h"

#include <algorithm>
#include <filesystem>

#include "support/hash.h"
#include "support/mapped_file.h"

namespace thimble::recipe {
namespace {

using pass::OptionType;

std::vector<float> floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

}  // namespace

std::vector<pass::OptionInfo> data_set_options() {
  return {
      {.name = "npz",
       .type = OptionType::kText,
       .help = "a NumPy archive of arrays by the inputs' names, or a folder of them"},
      {.name = "idx", .type = OptionType::kText, .help = "images in the MNIST database's format"},
      {.name = "labels", .type = OptionType::kText, .help = "the classes of those images"},
      {.name = "scale",
       .type = OptionType::kReal,
       .fallback = "1",
       .help = "a pixel goes in as (byte * scale - mean) / std",
       .minimum = -1e6,
       .maximum = 1e6},
      {.name = "mean",
       .type = OptionType::kReals,
       .fallback = "0",
       .help = "one number, or one per channel",
       .minimum = -1e6,
       .maximum = 1e6},
      {.name = "std",
       .type = OptionType::kReals,
       .fallback = "1",
       .help = "one number, or one per channel",
       .minimum = 1e-6,
       .maximum = 1e6},
      {.name = "samples",
       .type = OptionType::kInteger,
       .fallback = "0",
       .help = "at most; 0: all",
       .minimum = 0,
       .maximum = 1 << 30},
  };
}

Expected<DataSet> data_set_of(const pass::Options& options) {
  DataSet set;
  if (options.has("npz")) set.npz = options.text("npz");
  if (options.has("idx")) set.idx = options.text("idx");
  if (options.has("labels")) set.labels = options.text("labels");
  set.preprocessing.scale = static_cast<float>(options.real("scale"));
  set.preprocessing.mean = floats(options.reals("mean"));
  set.preprocessing.deviation = floats(options.reals("std"));
  set.samples = options.integer("samples");
  if (!set.npz.empty() && !set.idx.empty()) {
    Error error(ErrorCode::kInvalidRecipe, "'npz' and 'idx' are two data sets; name one");
    error.place = options.place("idx");
    return error;
  }
  if (!set.labels.empty() && set.idx.empty()) {
    Error error(ErrorCode::kInvalidRecipe, "'labels' goes with 'idx'");
    error.place = options.place("labels");
    return error;
  }
  return set;
}

std::vector<std::string*> paths_of(DataSet& set) {
  std::vector<std::string*> paths;
  for (std::string* path : {&set.npz, &set.idx, &set.labels}) {
    if (!path->empty()) paths.push_back(path);
  }
  return paths;
}

Expected<std::unique_ptr<data::SampleSource>> open_data_set(
    const DataSet& set, const std::vector<data::InputSpec>& inputs) {
  if (!set.idx.empty()) return data::idx_samples(set.idx, set.labels, inputs, set.preprocessing);
  return data::npz_samples(set.npz, inputs);
}

Expected<std::string> digest_of(const DataSet& set) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  std::error_code error;
  for (const std::string& path : {set.npz, set.idx, set.labels}) {
    if (path.empty()) continue;
    if (!fs::is_directory(path, error)) files.push_back(path);
    if (!fs::is_directory(path, error)) continue;
    for (const auto& entry : fs::directory_iterator(path, error)) {
      if (entry.path().extension() == ".npz") files.push_back(entry.path().string());
    }
  }
  std::sort(files.begin(), files.end());
  Hasher hasher;
  for (const std::string& file : files) {
    THIMBLE_ASSIGN(const auto mapped, MappedFile::open(file));
    hasher.update(thimble::digest_of(mapped->bytes()).hex());
  }
  const auto& [scale, mean, deviation] = set.preprocessing;
  for (const float number : mean) hasher.update(" mean " + std::to_string(number));
  for (const float number : deviation) hasher.update(" std " + std::to_string(number));
  hasher.update(" scale " + std::to_string(scale) + " samples " + std::to_string(set.samples));
  return hasher.finish().hex();
}

}  // namespace thimble::recipe
