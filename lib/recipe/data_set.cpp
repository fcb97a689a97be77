#include "recipe/data_set.h"

#include "data/files.h"
#include "data/image_samples.h"
#include "support/hash.h"
#include "support/mapped_file.h"
#include "support/mistakes.h"

namespace thimble::recipe {
namespace {

using pass::OptionType;

std::vector<float> floats(const std::vector<double>& values) {
  return {values.begin(), values.end()};
}

pass::OptionInfo sound_option(std::string name, std::string help) {
  return {.name = std::move(name),
          .type = OptionType::kInteger,
          .fallback = "0",
          .help = std::move(help),
          .minimum = 0,
          .maximum = 1 << 24};
}

// The keys that name a data set, and those that go with one of them.
constexpr std::string_view kKinds[] = {"npz", "idx", "wav", "images", "onnx_test_data"};
struct Belongs {
  std::string_view key, kind, other;
};
constexpr Belongs kBelongs[] = {
    {"labels", "idx", "images"}, {"scale", "idx", "images"}, {"mean", "idx", "images"},
    {"std", "idx", "images"},    {"resize", "images", ""},   {"frame", "wav", ""},
    {"hop", "wav", ""},          {"rate", "wav", ""},        {"fill", "wav", ""}};

Status check_kinds(const pass::Options& options) {
  Mistakes mistakes;
  const auto wrong = [&](std::string_view key, std::string message) {
    mistakes.add(pass::wrong(options.place(key), std::move(message)));
  };
  std::string_view named;
  for (const std::string_view kind : kKinds) {
    if (!options.has(kind)) continue;
    if (!named.empty()) {
      wrong(kind, "'" + std::string(named) + "' and '" + std::string(kind) +
                      "' are two data sets; name one");
    }
    named = kind;
  }
  for (const auto& [key, kind, other] : kBelongs) {
    if (!options.has(key) || options.has(kind) || options.has(other)) continue;
    wrong(key, "'" + std::string(key) + "' goes with '" + std::string(kind) +
                   (other.empty() ? "'" : "' or '" + std::string(other) + "'"));
  }
  if (options.has("state") && named.empty()) wrong("state", "'state' goes with a data set");
  return std::move(mistakes).status();
}

}  // namespace

std::vector<pass::OptionInfo> data_set_options() {
  return {
      {.name = "npz",
       .type = OptionType::kText,
       .help = "a NumPy archive of arrays by the inputs' names, or a folder of them"},
      {.name = "idx", .type = OptionType::kText, .help = "images in the MNIST database's format"},
      {.name = "labels",
       .type = OptionType::kText,
       .help = "the classes of those images; of a folder, a text of numbers"},
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
      {.name = "images",
       .type = OptionType::kText,
       .help = "a folder of PNG, JPEG, PPM and PGM files"},
      {.name = "resize",
       .type = OptionType::kInteger,
       .fallback = "0",
       .unit = "pixels",
       .help = "of the shorter side of those, before the middle is cut out; 0: as they are",
       .minimum = 0,
       .maximum = 1 << 14},
      {.name = "onnx_test_data",
       .type = OptionType::kText,
       .help = "a folder of test_data_set_N with input_M.pb, or one of those"},
      {.name = "wav",
       .type = OptionType::kText,
       .help = "sound, a file or a folder of them, cut into frames"},
      sound_option("frame", "samples that the model hears at once; 0: as its input says"),
      sound_option("hop", "samples from one frame to the next; 0: the frame"),
      sound_option("rate", "samples per second that the sound must have; 0: any"),
      {.name = "fill",
       .type = OptionType::kText,
       .help = "numbers for the inputs that sound does not say, as in sr=16000"},
      {.name = "state",
       .type = OptionType::kText,
       .help = "an input that takes what an output gave in the call before, as in state=stateN"},
      {.name = "samples",
       .type = OptionType::kInteger,
       .fallback = "0",
       .help = "at most; 0: all",
       .minimum = 0,
       .maximum = 1 << 30},
  };
}

Expected<DataSet> data_set_of(const pass::Options& options) {
  THIMBLE_TRY(check_kinds(options));
  DataSet set;
  const std::pair<std::string_view, std::string*> texts[] = {
      {"npz", &set.npz},       {"idx", &set.idx},     {"wav", &set.wav},
      {"images", &set.images}, {"fill", &set.fill},   {"onnx_test_data", &set.onnx_test_data},
      {"labels", &set.labels}, {"state", &set.states}};
  for (const auto& [key, text] : texts) {
    if (options.has(key)) *text = options.text(key);
  }
  set.preprocessing.scale = static_cast<float>(options.real("scale"));
  set.preprocessing.mean = floats(options.reals("mean"));
  set.preprocessing.deviation = floats(options.reals("std"));
  set.framing = {options.integer("frame"), options.integer("hop"), options.integer("rate")};
  set.resize = options.integer("resize");
  set.samples = options.integer("samples");
  return set;
}

void name_file(const std::string& path, std::string& text, DataSet& set) {
  if (path.empty()) return;
  for (std::string* old : paths_of(set)) old->clear();
  text.clear();
  (path.ends_with(".npz") ? set.npz : path.ends_with(".wav") ? set.wav : text) = path;
}

std::vector<std::string*> paths_of(DataSet& set) {
  std::vector<std::string*> paths;
  for (std::string* path :
       {&set.npz, &set.idx, &set.labels, &set.wav, &set.images, &set.onnx_test_data}) {
    if (!path->empty()) paths.push_back(path);
  }
  return paths;
}

Expected<std::unique_ptr<data::SampleSource>> open_data_set(
    const DataSet& set, const std::vector<data::InputSpec>& inputs,
    data::TensorReader read_tensor) {
  if (!set.idx.empty()) return data::idx_samples(set.idx, set.labels, inputs, set.preprocessing);
  if (!set.wav.empty()) return data::wav_samples(set.wav, set.framing, set.fill, inputs);
  if (!set.images.empty())
    return data::image_samples(set.images, set.resize, set.labels, inputs, set.preprocessing);
  if (!set.onnx_test_data.empty())
    return data::tensor_samples(set.onnx_test_data, inputs, read_tensor);
  return data::npz_samples(set.npz, inputs);
}

Expected<std::string> digest_of(const DataSet& set) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& path, std::vector<std::string> extensions) -> Status {
    if (path.empty()) return ok();
    THIMBLE_ASSIGN(const std::vector<std::string> found, data::files_of(path, extensions));
    files.insert(files.end(), found.begin(), found.end());
    return ok();
  };
  THIMBLE_TRY(add(set.npz, {".npz"}));
  THIMBLE_TRY(add(set.idx, {}));
  THIMBLE_TRY(add(set.labels, {}));
  THIMBLE_TRY(add(set.wav, {".wav"}));
  THIMBLE_TRY(add(set.images, data::image_extensions()));
  if (!set.onnx_test_data.empty()) {
    THIMBLE_ASSIGN(const auto calls, data::tensor_files(set.onnx_test_data));
    for (const std::vector<std::string>& call : calls)
      files.insert(files.end(), call.begin(), call.end());
  }
  Hasher hasher;
  for (const std::string& file : files) {
    THIMBLE_ASSIGN(const auto mapped, MappedFile::open(file));
    hasher.update(thimble::digest_of(mapped->bytes()).hex());
  }
  const auto& [scale, mean, deviation] = set.preprocessing;
  for (const float number : mean) hasher.update(" mean " + std::to_string(number));
  for (const float number : deviation) hasher.update(" std " + std::to_string(number));
  hasher.update(" scale " + std::to_string(scale) + " samples " + std::to_string(set.samples) +
                " resize " + std::to_string(set.resize));
  for (const std::int64_t number : {set.framing.frame, set.framing.hop, set.framing.rate})
    hasher.update(" framing " + std::to_string(number));
  hasher.update(" fill " + set.fill + " state " + set.states);
  return hasher.finish().hex();
}

}  // namespace thimble::recipe
