// IDX: big-endian, two zero bytes, the element's type (8: unsigned byte), the number of axes, each
// axis as 32 bits, then the elements in row-major order (yann.lecun.com/exdb/mnist).

#include <cstring>
#include <zlib.h>

#include "data/samples.h"
#include "support/checked.h"

namespace thimble::data {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 32;
constexpr int kMostAxes = 4;

struct Idx {
  std::vector<std::int64_t> dims;
  std::vector<std::uint8_t> bytes;
};

// zlib's reader takes plain files as they are.
class GzipFile {
 public:
  explicit GzipFile(const std::string& path) : file_(gzopen(path.c_str(), "rb")) {}
  ~GzipFile() {
    if (file_ != nullptr) gzclose(file_);
  }
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;
  bool is_open() const { return file_ != nullptr; }

  // Exactly so many bytes, or an error.
  Status read(std::uint8_t* out, std::uint64_t size) {
    while (size > 0) {
      const auto step = static_cast<unsigned>(std::min<std::uint64_t>(size, 1u << 20));
      const int got = gzread(file_, out, step);
      if (got <= 0) return invalid_file(got < 0 ? "damaged gzip data" : "the file is cut short");
      out += got;
      size -= static_cast<std::uint64_t>(got);
    }
    return ok();
  }

 private:
  gzFile file_;
};

Expected<Idx> read_open(GzipFile& file) {
  std::uint8_t head[4];
  THIMBLE_TRY(file.read(head, sizeof head));
  if (head[0] != 0 || head[1] != 0 || head[3] < 1 || head[3] > kMostAxes)
    return invalid_file("not an IDX file");
  if (head[2] != 8) return unsupported("only IDX files of unsigned bytes are read");
  Idx idx;
  std::uint64_t total = 1;
  for (int axis = 0; axis < head[3]; ++axis) {
    std::uint8_t size[4];
    THIMBLE_TRY(file.read(size, sizeof size));
    const std::uint32_t dim = static_cast<std::uint32_t>(size[0]) << 24 | size[1] << 16 |
                              size[2] << 8 | static_cast<std::uint32_t>(size[3]);
    const auto product = checked_mul<std::uint64_t>(total, dim);
    if (dim == 0 || !product || *product > kMostBytes)
      return invalid_file("an IDX file of 1 to 2^32 bytes is expected");
    total = *product;
    idx.dims.push_back(dim);
  }
  // In steps, so that a file that promises more than it holds costs no memory.
  while (idx.bytes.size() < total) {
    const std::uint64_t at = idx.bytes.size(), step = std::min<std::uint64_t>(total - at, 1u << 24);
    idx.bytes.resize(at + step);
    THIMBLE_TRY(file.read(idx.bytes.data() + at, step));
  }
  return idx;
}

Expected<Idx> read_idx(const std::string& path) {
  errno = 0;
  GzipFile file(path);
  if (!file.is_open()) return io_error("cannot open the file", errno).in(path);
  auto idx = read_open(file);
  if (!idx) return std::move(idx).error().in(path);
  return idx;
}

std::string text_of(const std::vector<std::int64_t>& dims) {
  std::string text;
  for (const std::int64_t dim : dims)
    text += (text.empty() ? "" : ", ") + (dim < 0 ? "any" : std::to_string(dim));
  return "[" + text + "]";
}

class IdxSamples : public SampleSource {
 public:
  IdxSamples(Idx images, Idx labels, InputSpec input, Preprocessing preprocessing)
      : images_(std::move(images)),
        labels_(std::move(labels)),
        input_(std::move(input)),
        preprocessing_(std::move(preprocessing)) {
    for (std::int64_t& dim : input_.dims) dim = dim < 0 ? 1 : dim;
    channels_ = images_.dims.size() == 4 ? static_cast<std::size_t>(images_.dims[3]) : 1;
  }

  std::size_t size() const override { return static_cast<std::size_t>(images_.dims[0]); }

  std::optional<std::int64_t> label(std::size_t index) const override {
    if (labels_.bytes.empty()) return std::nullopt;
    return labels_.bytes[index];
  }

  // Interleaved channels become planes where the model's channels come first.
  Expected<std::vector<Array>> read(std::size_t index) const override {
    const std::size_t pixels = images_.bytes.size() / size() / channels_;
    const bool planes = channels_ > 1 &&
                        input_.dims[input_.dims.size() - 3] == static_cast<std::int64_t>(channels_);
    const std::uint8_t* bytes = images_.bytes.data() + index * pixels * channels_;
    std::vector<float> values(pixels * channels_);
    for (std::size_t p = 0; p < pixels; ++p) {
      for (std::size_t c = 0; c < channels_; ++c)
        values[planes ? c * pixels + p : p * channels_ + c] =
            preprocessing_.number(bytes[p * channels_ + c], c);
    }
    Array array{input_.name, input_.descr, input_.dims, {}};
    if (input_.descr == "|u1") {
      array.bytes.resize(values.size());
      for (std::size_t i = 0; i < values.size(); ++i)
        array.bytes[i] = static_cast<std::byte>(static_cast<std::uint8_t>(values[i]));
    } else {
      array.bytes.resize(values.size() * sizeof(float));
      std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
    }
    return std::vector<Array>{std::move(array)};
  }

 private:
  Idx images_, labels_;
  InputSpec input_;
  Preprocessing preprocessing_;
  std::size_t channels_ = 1;
};

// One image has as many elements as the input, whose free dims are 1.
Status check_fit(const Idx& images, const InputSpec& input) {
  std::int64_t wanted = 1, given = 1;
  for (const std::int64_t dim : input.dims) wanted *= dim < 0 ? 1 : dim;
  for (std::size_t d = 1; d < images.dims.size(); ++d) given *= images.dims[d];
  const bool ranks = images.dims.size() >= 3 && input.dims.size() >= 3;
  if (ranks && wanted == given) return ok();
  return invalid_argument("images of " + text_of({images.dims.begin() + 1, images.dims.end()}) +
                          " do not fit the model's input " + text_of(input.dims))
      .at_tensor(input.name);
}

}  // namespace

Status check_preprocessing(const Preprocessing& preprocessing, std::size_t channels) {
  for (const std::vector<float>* values : {&preprocessing.mean, &preprocessing.deviation}) {
    if (values->size() != 1 && values->size() != channels) {
      return invalid_argument("'mean' and 'std' have one number, or one for each of the " +
                              std::to_string(channels) + " channels");
    }
  }
  for (const float deviation : preprocessing.deviation) {
    if (!(deviation > 0)) return invalid_argument("'std' is above 0");
  }
  return ok();
}

Expected<std::unique_ptr<SampleSource>> idx_samples(const std::string& images,
                                                    const std::string& labels,
                                                    const std::vector<InputSpec>& inputs,
                                                    const Preprocessing& preprocessing) {
  if (inputs.size() != 1 || (inputs[0].descr != "<f4" && inputs[0].descr != "|u1"))
    return unsupported("images go to models with one input, of f32 or u8");
  THIMBLE_ASSIGN(Idx pixels, read_idx(images));
  Idx classes;
  if (!labels.empty()) {
    THIMBLE_ASSIGN(classes, read_idx(labels));
    if (classes.dims.size() != 1 || classes.dims[0] != pixels.dims[0])
      return invalid_file("the labels are not one per image").in(labels);
  }
  if (Status fits = check_fit(pixels, inputs[0]); !fits) return std::move(fits).error().in(images);
  const std::size_t channels =
      pixels.dims.size() == 4 ? static_cast<std::size_t>(pixels.dims[3]) : 1;
  THIMBLE_TRY(check_preprocessing(preprocessing, channels));
  return std::unique_ptr<SampleSource>(
      new IdxSamples(std::move(pixels), std::move(classes), inputs[0], preprocessing));
}

}  // namespace thimble::data
