#include "data/image.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <jpeglib.h>
#include <png.h>
#include <string>

#include "data/image_samples.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::data {
namespace {

using Bytes = std::vector<std::uint8_t>;

std::span<const std::byte> view(const std::string& bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

std::string png_of(int width, int height, std::uint32_t format, const Bytes& pixels) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(width);
  png.height = static_cast<png_uint_32>(height);
  png.format = format;
  png_alloc_size_t size = 0;
  REQUIRE(png_image_write_to_memory(&png, nullptr, &size, 0, pixels.data(), 0, nullptr) != 0);
  std::string out(size, '\0');
  REQUIRE(png_image_write_to_memory(&png, out.data(), &size, 0, pixels.data(), 0, nullptr) != 0);
  return out;
}

std::string jpeg_of(int width, int height, int channels, const Bytes& pixels) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &memory, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = channels;
  info.in_color_space = channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, 100, TRUE);
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < height; ++y) {
    JSAMPROW row = const_cast<std::uint8_t*>(pixels.data()) + y * width * channels;
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  std::string out(reinterpret_cast<char*>(memory), size);
  std::free(memory);
  return out;
}

Image decoded(const std::string& bytes, int channels) {
  auto image = decode_image(view(bytes), channels);
  if (!image) FAIL(image.error().to_string());
  return *std::move(image);
}

const Bytes kColours = {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 255, 255, 255, 0, 0, 0};

}  // namespace

TEST_CASE("images of each format give their pixels") {
  const std::string ppm =
      "P6 # a comment\n3 2\n255\n" + std::string(kColours.begin(), kColours.end());
  const std::string png = png_of(3, 2, PNG_FORMAT_RGB, kColours);
  for (const std::string& bytes : {ppm, png}) {
    const Image image = decoded(bytes, 3);
    CHECK(image.width == 3);
    CHECK(image.height == 2);
    CHECK(image.pixels == kColours);
    CHECK(decoded(bytes, 1).pixels == Bytes{76, 150, 29, 18, 255, 0});
  }
  const Bytes grays = {0, 100, 200, 255};
  CHECK(decoded(png_of(2, 2, PNG_FORMAT_GRAY, grays), 1).pixels == grays);
  CHECK(decoded("P5 2 1 65535\n" + std::string("\xff\xff\x80\x00", 4), 1).pixels ==
        Bytes{255, 128});
  CHECK(decoded("P5 1 1 15 \x05", 3).pixels == Bytes{85, 85, 85});
  const Image jpeg = decoded(jpeg_of(2, 2, 1, grays), 1);
  REQUIRE(jpeg.pixels.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(jpeg.pixels[i] - grays[i]) <= 3);
  const Image even = decoded(jpeg_of(3, 2, 3, Bytes(18, 90)), 3);
  for (const std::uint8_t pixel : even.pixels) CHECK(std::abs(pixel - 90) <= 1);
}

TEST_CASE("damaged images are refused wherever they end") {
  Bytes noise(16 * 16 * 3);
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = static_cast<std::uint8_t>(i * 97 % 251);
  const std::string ppm = "P6 16 16 255\n" + std::string(noise.begin(), noise.end());
  for (const std::string& whole : {ppm, png_of(16, 16, PNG_FORMAT_RGB, noise)}) {
    // What comes after the last pixel, as PNG's end marker, may be missing.
    for (std::size_t size = 0; size + 40 < whole.size(); size += 7) {
      INFO(size);
      CHECK_FALSE(decode_image(view(whole.substr(0, size)), 3).has_value());
    }
  }
  const std::string jpeg = jpeg_of(16, 16, 3, noise);
  for (std::size_t size = 0; size < jpeg.size() * 9 / 10; size += 7) {
    INFO(size);
    CHECK_FALSE(decode_image(view(jpeg.substr(0, size)), 3).has_value());
  }
  CHECK_FALSE(decode_image(view("P6 0 2 255\n"), 3).has_value());
  CHECK_FALSE(decode_image(view("P6 99999999999999999999 2 255\n"), 3).has_value());
  CHECK_FALSE(decode_image(view("P6 4000000000 4000000000 255\nx"), 3).has_value());
  CHECK_FALSE(decode_image(view("P6 1 1 0\nabc"), 3).has_value());
  CHECK_FALSE(decode_image(view("GIF89a"), 3).has_value());
}

TEST_CASE("images are scaled with a triangle as wide as the coarser grid") {
  const Image row{4, 1, 1, {0, 100, 200, 40}};
  CHECK(resized(row, 4, 1).pixels == row.pixels);
  // Pillow: Image.fromarray(numpy.uint8([[0, 100, 200, 40]])).resize(size, Image.BILINEAR)
  CHECK(resized(row, 2, 1).pixels == Bytes{71, 117});
  CHECK(resized(row, 8, 1).pixels == Bytes{0, 25, 75, 125, 175, 160, 80, 40});
  CHECK(resized(row, 1, 2).pixels == Bytes{96, 96});
}

TEST_CASE("a folder of images is cut to what the model takes") {
  const ScratchFolder folder;
  const auto write = [&](const std::string& name, const std::string& bytes) {
    std::ofstream(folder.path(name), std::ios::binary) << bytes;
  };
  write("b.png", png_of(3, 2, PNG_FORMAT_RGB, kColours));
  write("a.ppm", "P6 3 2 255\n" + std::string(kColours.begin(), kColours.end()));
  write("labels", "7\n1\n");
  const Preprocessing halves{0.5f, {1, 2, 3}, {1, 1, 2}};
  const auto source = image_samples(folder.path(""), 0, folder.path("labels"),
                                    {{"x", "<f4", {-1, 3, 2, 1}}}, halves);
  if (!source) FAIL(source.error().to_string());
  REQUIRE((*source)->size() == 2);
  CHECK((*source)->label(0) == 7);
  const auto arrays = (*source)->read(1);
  REQUIRE(arrays.has_value());
  CHECK((*arrays)[0].dims == std::vector<std::int64_t>{1, 3, 2, 1});
  std::vector<float> values(6);
  std::memcpy(values.data(), (*arrays)[0].bytes.data(), 24);
  // The middle column: (0, 255, 0) and (255, 255, 255), a plane for each channel.
  CHECK(values == std::vector<float>{-1, 126.5f, 125.5f, 125.5f, -1.5f, 62.25f});
  const auto message = [&](std::vector<InputSpec> inputs, const std::string& labels) {
    const auto refused = image_samples(folder.path(""), 0, labels, inputs, {});
    if (!refused) return refused.error().message;
    const auto read = (*refused)->read(0);
    return read ? "" : read.error().message;
  };
  CHECK(message({{"x", "<f4", {1, 3, 4, 4}}}, "") == "the image is smaller than the model's 4 x 4");
  CHECK(
      message({{"x", "<f4", {1, 2, 2, 2}}}, "") ==
      "images go to inputs [1, channels, height, width] or [1, height, width, channels] of 1 or 3 "
      "channels");
  CHECK(message({{"x", "<f4", {1, 3, -1, -1}}}, "") == "the model takes images of any size");
  write("few", "7");
  CHECK(message({{"x", "<f4", {1, 3, 1, 1}}}, folder.path("few")) ==
        "there are 1 labels for 2 images");
}

}  // namespace thimble::data
