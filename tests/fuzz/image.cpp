// DEPENDS: thimble_data thimble_support
#include "data/image.h"

#include <cstddef>
#include <cstdint>
#include <span>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace images = thimble::data;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  for (const int channels : {1, 3}) {
    const auto image = images::decode_image(bytes, channels);
    if (!image) return 0;
    if (image->pixels.size() <= std::size_t{1} << 16) (void)images::resized(*image, 7, 5);
  }
  return 0;
}
