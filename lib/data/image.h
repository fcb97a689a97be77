#pragma once
// Pictures as bytes: PNG, JPEG and binary PNM (P5, P6), read whole from memory that nobody vouches
// for, and scaled.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "support/expected.h"

namespace thimble::data {

// Rows from the top, `channels` interleaved: 3 are red, green, blue; 1 is luma.
struct Image {
  std::int64_t width = 0, height = 0;
  int channels = 3;
  std::vector<std::uint8_t> pixels;
};

// What the bytes hold, turned into 1 or 3 channels: colours become luma by ITU-R BT.601, alpha is
// laid over black, 16 bits are rounded to 8. Errors: another format, damage, more than 2^27 pixels.
Expected<Image> decode_image(std::span<const std::byte> bytes, int channels);

// Resampled with a triangle filter that is as wide as a pixel of the coarser of both grids (as
// Pillow's and torchvision's antialiased bilinear do), rows after columns, each rounded to a byte.
Image resized(const Image& image, std::int64_t width, std::int64_t height);

}  // namespace thimble::data
