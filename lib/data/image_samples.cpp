#include "data/image_samples.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "data/files.h"
#include "data/image.h"
#include "data/text.h"
#include "support/mapped_file.h"

namespace thimble::data {
namespace {

// Where the model has what.
struct Layout {
  bool planes = false;  // channels before height and width
  std::int64_t channels = 0, height = 0, width = 0;
};

Expected<Layout> layout_of(const InputSpec& input) {
  const std::vector<std::int64_t>& dims = input.dims;
  const auto is_channels = [](std::int64_t dim) { return dim == 1 || dim == 3; };
  if (dims.size() != 4 || (!is_channels(dims[1]) && !is_channels(dims[3]))) {
    return unsupported(
               "images go to inputs [1, channels, height, width] or [1, height, width, "
               "channels] of 1 or 3 channels")
        .at_tensor(input.name);
  }
  const bool planes = is_channels(dims[1]);
  const Layout layout =
      planes ? Layout{.planes = true, .channels = dims[1], .height = dims[2], .width = dims[3]}
             : Layout{.planes = false, .channels = dims[3], .height = dims[1], .width = dims[2]};
  if (layout.height < 1 || layout.width < 1) {
    return unsupported("the model takes images of any size")
        .at_tensor(input.name)
        .fix("settle the size by --dim");
  }
  return layout;
}

class ImageSamples : public SampleSource {
 public:
  ImageSamples(std::vector<std::string> files, std::vector<std::int64_t> labels, InputSpec input,
               Layout layout, std::int64_t resize, Preprocessing preprocessing)
      : files_(std::move(files)),
        labels_(std::move(labels)),
        input_(std::move(input)),
        layout_(layout),
        resize_(resize),
        preprocessing_(std::move(preprocessing)) {
    input_.dims[0] = 1;
  }

  std::size_t size() const override { return files_.size(); }
  std::optional<std::int64_t> label(std::size_t index) const override {
    return labels_.empty() ? std::nullopt : std::optional(labels_[index]);
  }

  Expected<std::vector<Array>> read(std::size_t index) const override {
    THIMBLE_ASSIGN(const auto file, MappedFile::open(files_[index]));
    auto image = decode_image(file->bytes(), static_cast<int>(layout_.channels));
    if (!image) return std::move(image).error().in(files_[index]);
    if (resize_ > 0) {
      const std::int64_t shorter = std::min(image->width, image->height);
      const auto scaled = [&](std::int64_t side) {
        return side == shorter ? resize_ : std::max<std::int64_t>(1, side * resize_ / shorter);
      };
      image = resized(*image, scaled(image->width), scaled(image->height));
    }
    if (image->width < layout_.width || image->height < layout_.height) {
      return invalid_argument("the image is smaller than the model's " +
                              std::to_string(layout_.width) + " x " +
                              std::to_string(layout_.height))
          .in(files_[index])
          .fix("scale images by 'resize'");
    }
    return std::vector<Array>{array_of(*image)};
  }

 private:
  Array array_of(const Image& image) const {
    const std::int64_t left = (image.width - layout_.width) / 2;
    const std::int64_t top = (image.height - layout_.height) / 2;
    const std::int64_t area = layout_.width * layout_.height, channels = layout_.channels;
    std::vector<float> values(static_cast<std::size_t>(area * channels));
    for (std::int64_t p = 0; p < area; ++p) {
      const std::int64_t y = top + p / layout_.width, x = left + p % layout_.width;
      for (std::int64_t c = 0; c < channels; ++c) {
        const auto to = static_cast<std::size_t>(layout_.planes ? c * area + p : p * channels + c);
        const auto from = static_cast<std::size_t>((y * image.width + x) * channels + c);
        values[to] = preprocessing_.number(image.pixels[from], static_cast<std::size_t>(c));
      }
    }
    Array array{input_.name, input_.descr, input_.dims, {}};
    array.bytes.resize(values.size() * sizeof(float));
    std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
    return array;
  }

  std::vector<std::string> files_;
  std::vector<std::int64_t> labels_;
  InputSpec input_;
  Layout layout_;
  std::int64_t resize_;
  Preprocessing preprocessing_;
};

Expected<std::vector<std::int64_t>> read_labels(const std::string& path, std::size_t files) {
  THIMBLE_ASSIGN(const std::string text, read_text(path));
  std::vector<std::int64_t> labels;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    if (std::strchr(" \t\r\n", *at) != nullptr) {
      ++at;
      continue;
    }
    std::int64_t label = 0;
    const auto [stop, code] = std::from_chars(at, end, label);
    if (code != std::errc()) return invalid_file("labels are whole numbers, one a line").in(path);
    labels.push_back(label);
    at = stop;
  }
  if (labels.size() != files) {
    return invalid_file("there are " + std::to_string(labels.size()) + " labels for " +
                        std::to_string(files) + " images")
        .in(path);
  }
  return labels;
}

}  // namespace

const std::vector<std::string>& image_extensions() {
  static const std::vector<std::string> kExtensions = {".png", ".jpg", ".jpeg", ".ppm", ".pgm"};
  return kExtensions;
}

Expected<std::unique_ptr<SampleSource>> image_samples(const std::string& path, std::int64_t resize,
                                                      const std::string& labels,
                                                      const std::vector<InputSpec>& inputs,
                                                      const Preprocessing& preprocessing) {
  if (inputs.size() != 1 || inputs[0].descr != "<f4")
    return unsupported("images go to models with one input, of f32");
  THIMBLE_ASSIGN(const Layout layout, layout_of(inputs[0]));
  THIMBLE_TRY(check_preprocessing(preprocessing, static_cast<std::size_t>(layout.channels)));
  THIMBLE_ASSIGN(std::vector<std::string> files, files_of(path, image_extensions()));
  std::vector<std::int64_t> classes;
  if (!labels.empty()) {
    THIMBLE_ASSIGN(classes, read_labels(labels, files.size()));
  }
  return std::unique_ptr<SampleSource>(new ImageSamples(std::move(files), std::move(classes),
                                                        inputs[0], layout, resize, preprocessing));
}

}  // namespace thimble::data
