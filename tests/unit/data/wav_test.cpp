#include "data/wav.h"

#include <cstring>
#include <fstream>
#include <limits>

#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::data {
namespace {

template <class T>
std::string bytes_of(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string chunk(const std::string& id, const std::string& body) {
  std::string out = id + bytes_of(static_cast<std::uint32_t>(body.size())) + body;
  return body.size() % 2 == 1 ? out + '\0' : out;
}

std::string format(std::uint16_t tag, std::uint16_t channels, std::uint16_t bits,
                   std::uint32_t rate = 16000) {
  const auto block = static_cast<std::uint16_t>(channels * bits / 8);
  return bytes_of(tag) + bytes_of(channels) + bytes_of(rate) + bytes_of(rate * block) +
         bytes_of(block) + bytes_of(bits);
}

std::string wave(const std::string& chunks) { return chunk("RIFF", "WAVE" + chunks); }

class Files {
 public:
  std::string write(const std::string& name, const std::string& bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
    return file(name);
  }
  std::string file(const std::string& name) const { return folder_.path(name); }

 private:
  ScratchFolder folder_;
};

std::vector<float> samples_of(const std::string& path) {
  const auto wav = read_wav(path);
  if (!wav) FAIL(wav.error().to_string());
  return wav->samples;
}

std::vector<float> floats_of(const std::vector<Array>& arrays, const std::string& name) {
  const Array* array = find(arrays, name);
  REQUIRE(array != nullptr);
  std::vector<float> values(array->bytes.size() / sizeof(float));
  std::memcpy(values.data(), array->bytes.data(), array->bytes.size());
  return values;
}

std::string ramp(int count) {
  std::string out;
  for (int i = 1; i <= count; ++i) out += bytes_of(static_cast<float>(i));
  return wave(chunk("fmt ", format(3, 1, 32)) + chunk("data", out));
}

std::string refusal(const Expected<std::unique_ptr<SampleSource>>& source) {
  return source ? "" : source.error().message;
}

}  // namespace

TEST_CASE("sound of every width") {
  const Files files;
  const auto read = [&](std::uint16_t tag, std::uint16_t bits, const std::string& data) {
    return samples_of(
        files.write("x.wav", wave(chunk("fmt ", format(tag, 1, bits)) + chunk("data", data))));
  };
  CHECK(read(1, 8, std::string("\x00\x80\xff", 3)) == std::vector<float>{-1, 0, 127.0f / 128});
  CHECK(read(1, 16, std::string("\x00\x80\x00\x00\x00\x40", 6)) == std::vector<float>{-1, 0, 0.5f});
  CHECK(read(1, 24, std::string("\x00\x00\x80\xff\xff\xff\x00\x00\x20", 9)) ==
        std::vector<float>{-1, -1.0f / 8388608, 0.25f});
  CHECK(read(1, 32, bytes_of(std::numeric_limits<std::int32_t>::min()) + bytes_of(1 << 30)) ==
        std::vector<float>{-1, 0.5f});
  CHECK(read(3, 32, bytes_of(0.75f)) == std::vector<float>{0.75f});
  CHECK(read(3, 64, bytes_of(-0.75)) == std::vector<float>{-0.75f});
  CHECK(read(1, 16, std::string("\x00\x40\x00", 3)) == std::vector<float>{0.5f});  // half a sample
}

TEST_CASE("channels are averaged; other chunks and unknown lengths are passed") {
  const Files files;
  const std::string two = std::string("\x00\x40\x00\x20\x00\x80\x00\x00", 8);
  const std::string extensible = bytes_of<std::uint16_t>(0xfffe) + format(1, 2, 16).substr(2) +
                                 bytes_of<std::uint16_t>(22) + bytes_of<std::uint16_t>(16) +
                                 bytes_of(3u) + bytes_of<std::uint16_t>(1) + std::string(14, 'g');
  const std::vector<float> mixed = {0.375f, -0.5f};
  CHECK(samples_of(files.write("a.wav", wave(chunk("LIST", "odd") + chunk("fmt ", extensible) +
                                             chunk("data", two) + chunk("id3 ", "x")))) == mixed);
  std::string piped = "RIFF" + bytes_of(~0u) + "WAVE" + chunk("fmt ", format(1, 2, 16)) + "data" +
                      bytes_of(~0u) + two;
  CHECK(samples_of(files.write("b.wav", piped)) == mixed);
}

TEST_CASE("damaged sound is refused, wherever it ends") {
  const Files files;
  const std::string whole =
      wave(chunk("fmt ", format(1, 1, 16)) + chunk("fact", "1234") + chunk("data", "abcdef"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK_FALSE(read_wav(files.write("cut.wav", whole.substr(0, size))).has_value());
  }
  const auto message = [&](const std::string& bytes) {
    const auto wav = read_wav(files.write("bad.wav", bytes));
    return wav ? "" : wav.error().message;
  };
  const std::string data = chunk("data", "abcd");
  CHECK(message(wave(data)) == "the sound comes before its format");
  CHECK(message(wave(chunk("fmt ", format(1, 1, 16)))) == "the file holds no sound");
  CHECK(message(wave(chunk("fmt ", format(7, 1, 8)) + data)) ==
        "sound of format 7 with 8 bits is not read");
  CHECK(message(wave(chunk("fmt ", format(1, 0, 16)) + data)) ==
        "sound has 1 to 64 channels, not 0");
  CHECK(message(wave(chunk("fmt ", format(1, 1, 16, 0)) + data)) == "the sound has no sample rate");
  std::string block = format(1, 1, 16);
  block[12] = 7;
  CHECK(message(wave(chunk("fmt ", block) + data)) ==
        "the sound's block size is not that of its channels");
  CHECK(message("RF64" + std::string(40, '\0')) == "sound files of the kind RF64 are not read");
  CHECK(message("RIFFxxxxAVI " + std::string(40, '\0')) == "not a WAVE file");
}

TEST_CASE("sound is cut into frames as a stream delivers them") {
  const Files files;
  const std::string path = files.write("ramp.wav", ramp(5));
  const std::vector<InputSpec> inputs = {{"x", "<f4", {-1, -1}}, {"sr", "<i8", {}}};
  const auto source = wav_samples(path, {.frame = 3, .hop = 2, .rate = 16000}, "sr=16000", inputs);
  if (!source) FAIL(source.error().to_string());
  REQUIRE((*source)->size() == 3);
  const std::vector<std::vector<float>> wanted = {{0, 1, 2}, {2, 3, 4}, {4, 5, 0}};
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto arrays = (*source)->read(i);
    REQUIRE(arrays.has_value());
    CHECK(floats_of(*arrays, "x") == wanted[i]);
    CHECK(find(*arrays, "x")->dims == std::vector<std::int64_t>{1, 3});
    std::int64_t rate = 0;
    std::memcpy(&rate, find(*arrays, "sr")->bytes.data(), sizeof rate);
    CHECK(rate == 16000);
    CHECK((*source)->begins(i) == (i == 0));
  }
  // The hop may be longer than the frame, and the model may say the frame.
  const auto sparse = wav_samples(path, {.hop = 4}, "", {{"x", "<f4", {2}}});
  REQUIRE(sparse.has_value());
  CHECK(floats_of(*(*sparse)->read(0), "x") == std::vector<float>{3, 4});
  CHECK(floats_of(*(*sparse)->read(1), "x") == std::vector<float>{0, 0});
}

TEST_CASE("each file of a folder begins a sequence") {
  const Files files;
  files.write("b.wav", ramp(2));
  files.write("a.WAV", ramp(4));
  files.write("c.txt", "no sound");
  const auto source = wav_samples(files.file(""), {}, "", {{"x", "<f4", {1, 2}}});
  REQUIRE(source.has_value());
  REQUIRE((*source)->size() == 3);
  CHECK((*source)->begins(0));
  CHECK_FALSE((*source)->begins(1));
  CHECK((*source)->begins(2));
}

TEST_CASE("sound that the model can't take is refused") {
  const Files files;
  const std::string path = files.write("ramp.wav", ramp(5));
  const InputSpec free{"x", "<f4", {-1, -1}};
  CHECK(refusal(wav_samples(path, {.rate = 8000}, "", {{"x", "<f4", {4}}})) ==
        "the sound has 16000 samples per second, and the model wants 8000");
  CHECK(refusal(wav_samples(path, {}, "", {free})) == "the model takes frames of any length");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "", {{"x", "<f4", {2, 4}}})) ==
        "axis 0 of the input is 2, and frames give 1");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "", {{"x", "<f4", {}}})) ==
        "the input takes one number, not sound");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "", {free, {"y", "<f4", {-1}}})) ==
        "sound goes to one input, and 'x' and 'y' both want some");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "", {free, {"sr", "<i8", {}}})) ==
        "sound does not say what the model's input 'sr' is");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "x=1", {free})) ==
        "the model has no input that takes sound");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "sr=1", {{"sl", "<i8", {}}})) ==
        "the model has no input 'sr' to fill (did you mean 'sl'?)");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "sr=300", {free, {"sr", "|u1", {}}})) ==
        "an input of |u1 cannot hold 300");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "sr", {free})) == "'sr' is not NAME=NUMBER");
  CHECK(refusal(wav_samples(path, {.frame = 4}, "x=1,x=2", {free})) == "'x' is filled twice");
}

}  // namespace thimble::data
