#include "data/wav.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "data/files.h"
#include "data/fill.h"
#include "support/cursor.h"
#include "support/mapped_file.h"

namespace thimble::data {
namespace {

constexpr std::uint16_t kPcm = 1, kFloat = 3, kExtensible = 0xfffe;
constexpr std::uint32_t kUnknownLength = 0xffffffff;
constexpr std::uint16_t kMostChannels = 64;

struct Format {
  std::uint16_t tag = 0;
  std::uint16_t channels = 0;
  std::uint32_t rate = 0;
  std::uint16_t bits = 0;
  std::size_t bytes() const { return bits / 8u; }
};

Expected<Format> read_format(Cursor chunk) {
  Format format;
  THIMBLE_ASSIGN(format.tag, chunk.read<std::uint16_t>());
  THIMBLE_ASSIGN(format.channels, chunk.read<std::uint16_t>());
  THIMBLE_ASSIGN(format.rate, chunk.read<std::uint32_t>());
  THIMBLE_TRY(chunk.skip(4));  // bytes per second
  THIMBLE_ASSIGN(const auto block, chunk.read<std::uint16_t>());
  THIMBLE_ASSIGN(format.bits, chunk.read<std::uint16_t>());
  if (format.tag == kExtensible) {
    THIMBLE_TRY(chunk.skip(8));  // its own size, valid bits, speakers
    THIMBLE_ASSIGN(format.tag, chunk.read<std::uint16_t>());
  }
  const bool pcm = format.tag == kPcm && (format.bits == 8 || format.bits == 16 ||
                                          format.bits == 24 || format.bits == 32);
  const bool real = format.tag == kFloat && (format.bits == 32 || format.bits == 64);
  if (!pcm && !real) {
    return unsupported("sound of format " + std::to_string(format.tag) + " with " +
                       std::to_string(format.bits) + " bits is not read")
        .fix("save it as 16-bit PCM, as with: ffmpeg -i IN -c:a pcm_s16le OUT.wav");
  }
  if (format.channels == 0 || format.channels > kMostChannels)
    return invalid_file("sound has 1 to 64 channels, not " + std::to_string(format.channels));
  if (format.rate == 0) return invalid_file("the sound has no sample rate");
  if (block != format.channels * format.bytes())
    return invalid_file("the sound's block size is not that of its channels");
  return format;
}

double sample_of(const std::byte* at, const Format& format) {
  if (format.tag == kFloat) {
    if (format.bits == 64) {
      double value;
      std::memcpy(&value, at, sizeof value);
      return value;
    }
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  if (format.bits == 8) return (std::to_integer<int>(*at) - 128) / 128.0;
  // The most significant byte is the last; it goes to the top, so that the sign comes out right.
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < format.bytes(); ++i)
    bits |= std::to_integer<std::uint32_t>(at[i]) << (32 - format.bits + 8 * i);
  return static_cast<double>(static_cast<std::int32_t>(bits)) / 2147483648.0;
}

std::vector<float> mixed_down(std::span<const std::byte> data, const Format& format) {
  const std::size_t block = format.channels * format.bytes();
  std::vector<float> samples(data.size() / block);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < format.channels; ++c)
      sum += sample_of(data.data() + i * block + c * format.bytes(), format);
    samples[i] = static_cast<float>(sum / format.channels);
  }
  return samples;
}

Expected<Wav> parse_wav(std::span<const std::byte> bytes) {
  Cursor file(bytes);
  THIMBLE_ASSIGN(const auto riff, file.read_text(4));
  if (riff == "RF64" || riff == "RIFX")
    return unsupported("sound files of the kind " + std::string(riff) + " are not read");
  THIMBLE_TRY(file.skip(4));  // sizes of the whole are often wrong
  THIMBLE_ASSIGN(const auto wave, file.read_text(4));
  if (riff != "RIFF" || wave != "WAVE") return invalid_file("not a WAVE file");
  std::optional<Format> format;
  while (file.remaining() > 0) {
    THIMBLE_ASSIGN(const auto id, file.read_text(4));
    THIMBLE_ASSIGN(const auto size, file.read<std::uint32_t>());
    const std::uint64_t begin = file.offset();
    const bool data = id == "data";
    THIMBLE_ASSIGN(const auto chunk,
                   file.read_bytes(data && size == kUnknownLength ? file.remaining() : size));
    if (id == "fmt ") {
      THIMBLE_ASSIGN(format, read_format(Cursor(chunk, begin)));
    } else if (data) {
      if (!format) return invalid_file("the sound comes before its format").at_offset(begin);
      return Wav{format->rate, mixed_down(chunk, *format)};
    }
    if (size % 2 == 1 && file.remaining() > 0) THIMBLE_TRY(file.skip(1));
  }
  return invalid_file("the file holds no sound");
}

class WavSamples : public SampleSource {
 public:
  WavSamples(InputSpec input, std::int64_t frame, std::int64_t hop, std::vector<Array> others)
      : input_(std::move(input)), frame_(frame), hop_(hop), others_(std::move(others)) {}

  void add(std::vector<float> sound) {
    const auto length = static_cast<std::int64_t>(sound.size());
    for (std::int64_t begin = 0; begin < length; begin += hop_)
      frames_.push_back({sounds_.size(), begin + hop_});
    sounds_.push_back(std::move(sound));
  }

  std::size_t size() const override { return frames_.size(); }
  bool begins(std::size_t index) const override { return frames_[index].end == hop_; }

  Expected<std::vector<Array>> read(std::size_t index) const override {
    const auto& [which, end] = frames_[index];
    const std::vector<float>& sound = sounds_[which];
    std::vector<float> samples(static_cast<std::size_t>(frame_));
    const std::int64_t from = std::max<std::int64_t>(end - frame_, 0);
    const std::int64_t to = std::min(end, static_cast<std::int64_t>(sound.size()));
    if (from < to) {
      std::copy(sound.begin() + from, sound.begin() + to, samples.begin() + (frame_ - end + from));
    }
    const auto* data = reinterpret_cast<const std::byte*>(samples.data());
    std::vector<Array> arrays = others_;
    arrays.push_back({input_.name, input_.descr, input_.dims,
                      std::vector<std::byte>(data, data + samples.size() * sizeof(float))});
    return arrays;
  }

 private:
  struct Frame {
    std::size_t sound;
    std::int64_t end;  // one past its last sample
  };
  InputSpec input_;
  std::int64_t frame_, hop_;
  std::vector<Array> others_;
  std::vector<std::vector<float>> sounds_;
  std::vector<Frame> frames_;
};

// The one input that hears.
Expected<InputSpec> listener(const std::vector<InputSpec>& inputs,
                             const std::vector<Array>& filled) {
  const InputSpec* found = nullptr;
  for (const InputSpec& input : inputs) {
    if (find(filled, input.name) != nullptr) continue;
    if (input.descr != "<f4") {
      return invalid_argument("sound does not say what the model's input '" + input.name + "' is")
          .fix("give it a number, as in: fill " + input.name + "=16000");
    }
    if (found != nullptr) {
      return invalid_argument("sound goes to one input, and '" + found->name + "' and '" +
                              input.name + "' both want some")
          .fix("carry one as a state, or give it a number by fill");
    }
    found = &input;
  }
  if (found == nullptr) return invalid_argument("the model has no input that takes sound");
  return *found;
}

// Settles the sizes that the model and the user leave open.
Status settle(InputSpec& input, Framing& framing) {
  if (input.dims.empty()) return invalid_argument("the input takes one number, not sound");
  if (framing.frame == 0) framing.frame = std::max<std::int64_t>(input.dims.back(), 0);
  if (framing.frame == 0) {
    return invalid_argument("the model takes frames of any length")
        .fix("say how many samples it hears at once by 'frame'");
  }
  if (framing.hop == 0) framing.hop = framing.frame;
  for (std::size_t d = 0; d < input.dims.size(); ++d) {
    const std::int64_t wanted = d + 1 == input.dims.size() ? framing.frame : 1;
    if (input.dims[d] >= 0 && input.dims[d] != wanted) {
      return invalid_argument("axis " + std::to_string(d) + " of the input is " +
                              std::to_string(input.dims[d]) + ", and frames give " +
                              std::to_string(wanted));
    }
    input.dims[d] = wanted;
  }
  return ok();
}

Status check_rate(const Wav& wav, const Framing& framing) {
  if (framing.rate == 0 || wav.rate == framing.rate) return ok();
  return invalid_argument("the sound has " + std::to_string(wav.rate) +
                          " samples per second, and the model wants " +
                          std::to_string(framing.rate))
      .fix("resample it, as with: ffmpeg -i IN.wav -ar " + std::to_string(framing.rate) +
           " OUT.wav");
}

}  // namespace

Expected<Wav> read_wav(const std::string& path) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  auto wav = parse_wav(file->bytes());
  if (!wav) return std::move(wav).error().in(path);
  return wav;
}

Expected<std::unique_ptr<SampleSource>> wav_samples(const std::string& path, const Framing& framing,
                                                    const std::string& fill,
                                                    const std::vector<InputSpec>& inputs) {
  THIMBLE_ASSIGN(std::vector<Array> filled, filled_inputs(fill, inputs));
  THIMBLE_ASSIGN(InputSpec input, listener(inputs, filled));
  Framing settled = framing;
  if (Status fits = settle(input, settled); !fits)
    return std::move(fits).error().at_tensor(input.name);
  THIMBLE_ASSIGN(const std::vector<std::string> files, files_of(path, {".wav"}));
  auto source =
      std::make_unique<WavSamples>(std::move(input), settled.frame, settled.hop, std::move(filled));
  for (const std::string& file : files) {
    THIMBLE_ASSIGN(Wav wav, read_wav(file));
    if (Status right = check_rate(wav, framing); !right) return std::move(right).error().in(file);
    if (wav.samples.empty()) return invalid_file("the file holds no sound").in(file);
    source->add(std::move(wav.samples));
  }
  return std::unique_ptr<SampleSource>(std::move(source));
}

}  // namespace thimble::data
