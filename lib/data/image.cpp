#include "data/image.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <string>
#include <string_view>

// jpeglib.h needs size_t and FILE before it.
#include <jpeglib.h>
#include <png.h>

namespace thimble::data {
namespace {

constexpr std::uint64_t kMostPixels = std::uint64_t{1} << 27;

Status check_size(std::uint64_t width, std::uint64_t height) {
  if (width == 0 || height == 0 || width > kMostPixels || height > kMostPixels / width)
    return invalid_file("an image of 1 to 2^27 pixels is expected");
  return ok();
}

Image empty_image(std::uint64_t width, std::uint64_t height, int channels) {
  Image image{static_cast<std::int64_t>(width), static_cast<std::int64_t>(height), channels, {}};
  image.pixels.resize(width * height * static_cast<std::uint64_t>(channels));
  return image;
}

std::uint8_t luma(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
}

// The channels that are wanted, out of 1 or 3.
Image with_channels(Image image, int channels) {
  if (image.channels == channels) return image;
  Image out = empty_image(static_cast<std::uint64_t>(image.width),
                          static_cast<std::uint64_t>(image.height), channels);
  const std::size_t count = image.pixels.size() / static_cast<std::size_t>(image.channels);
  for (std::size_t i = 0; i < count; ++i) {
    if (channels == 1) {
      out.pixels[i] = luma(image.pixels.data() + 3 * i);
    } else {
      std::fill_n(out.pixels.begin() + static_cast<std::ptrdiff_t>(3 * i), 3, image.pixels[i]);
    }
  }
  return out;
}

// libpng converts to RGB; luma is ours, so that every format gives the same.
Expected<Image> decode_png(std::span<const std::byte> bytes) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const auto refuse = [&] {
    const std::string message = png.message;
    png_image_free(&png);
    return invalid_file("a damaged PNG image: " + message);
  };
  if (png_image_begin_read_from_memory(&png, bytes.data(), bytes.size()) == 0) return refuse();
  if (Status sane = check_size(png.width, png.height); !sane) {
    png_image_free(&png);
    return std::move(sane).error();
  }
  png.format = PNG_FORMAT_RGB;
  Image image = empty_image(png.width, png.height, 3);
  const png_color black{};
  if (png_image_finish_read(&png, &black, image.pixels.data(), 0, nullptr) == 0) return refuse();
  return image;
}

struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void give_up(j_common_ptr info) {
  auto* errors = reinterpret_cast<JpegErrors*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->back, 1);
}
// Damage that libjpeg could paper over is damage.
void warn(j_common_ptr info, int level) {
  if (level < 0) give_up(info);
}

// Everything between setjmp and longjmp is plain data: no destructor is passed over. The image is
// allocated by the caller, between the two calls.
class Jpeg {
 public:
  explicit Jpeg(std::span<const std::byte> bytes) {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = give_up;
    errors_.base.emit_message = warn;
    if (setjmp(errors_.back) != 0) return;
    jpeg_create_decompress(&info_);
    created_ = true;
    jpeg_mem_src(&info_, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    jpeg_read_header(&info_, TRUE);
    info_.out_color_space = info_.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
    info_.dct_method = JDCT_ISLOW;
    info_.mem->max_memory_to_use = 1 << 28;
    header_ = true;
  }
  ~Jpeg() {
    if (created_) jpeg_destroy_decompress(&info_);
  }
  Jpeg(const Jpeg&) = delete;
  Jpeg& operator=(const Jpeg&) = delete;

  bool has_header() const { return header_; }
  const jpeg_decompress_struct& info() const { return info_; }
  Error error() const {
    return invalid_file("a damaged JPEG image: " + std::string(errors_.message));
  }

  bool read(std::uint8_t* pixels, std::size_t row_bytes) {
    if (setjmp(errors_.back) != 0) return false;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      JSAMPROW row = pixels + info_.output_scanline * row_bytes;
      jpeg_read_scanlines(&info_, &row, 1);
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

 private:
  jpeg_decompress_struct info_{};
  JpegErrors errors_{};
  bool created_ = false, header_ = false;
};

Expected<Image> decode_jpeg(std::span<const std::byte> bytes) {
  Jpeg jpeg(bytes);
  if (!jpeg.has_header()) return jpeg.error();
  THIMBLE_TRY(check_size(jpeg.info().image_width, jpeg.info().image_height));
  const int channels = jpeg.info().out_color_space == JCS_GRAYSCALE ? 1 : 3;
  Image image = empty_image(jpeg.info().image_width, jpeg.info().image_height, channels);
  const auto row_bytes = static_cast<std::size_t>(image.width * channels);
  if (!jpeg.read(image.pixels.data(), row_bytes)) return jpeg.error();
  return image;
}

// A whole number of a PNM header, after white space and comments.
Expected<std::uint64_t> pnm_number(std::string_view& text) {
  while (!text.empty() &&
         (text[0] == '#' || std::string_view(" \t\r\n").find(text[0]) != std::string_view::npos)) {
    text.remove_prefix(text[0] == '#' ? std::min(text.find('\n'), text.size()) : 1);
  }
  std::uint64_t value = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc()) return invalid_file("a damaged PNM header");
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return value;
}

Expected<Image> decode_pnm(std::string_view text) {
  const int channels = text[1] == '6' ? 3 : 1;
  text.remove_prefix(2);
  THIMBLE_ASSIGN(const std::uint64_t width, pnm_number(text));
  THIMBLE_ASSIGN(const std::uint64_t height, pnm_number(text));
  THIMBLE_ASSIGN(const std::uint64_t most, pnm_number(text));
  THIMBLE_TRY(check_size(width, height));
  if (most < 1 || most > 65535 || text.empty()) return invalid_file("a damaged PNM header");
  text.remove_prefix(1);
  const std::uint64_t bytes = most > 255 ? 2 : 1;
  if (text.size() / bytes / static_cast<std::uint64_t>(channels) / width < height)
    return invalid_file("the image is cut short");
  Image image = empty_image(width, height, channels);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    std::uint64_t value = static_cast<std::uint8_t>(text[i * bytes]);
    if (bytes == 2) value = value << 8 | static_cast<std::uint8_t>(text[2 * i + 1]);
    image.pixels[i] = static_cast<std::uint8_t>((std::min(value, most) * 255 + most / 2) / most);
  }
  return image;
}

// Which pixels of the source make one of the result, and by how much; the weights add up to 1.
struct Taps {
  std::int64_t first = 0;
  std::vector<double> weights;
};

std::vector<Taps> taps_of(std::int64_t from, std::int64_t to) {
  const double step = static_cast<double>(from) / static_cast<double>(to);
  const double reach = std::max(step, 1.0);
  std::vector<Taps> all(static_cast<std::size_t>(to));
  for (std::int64_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * step;
    const auto first = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - reach + 0.5));
    const auto last = std::min(from, static_cast<std::int64_t>(centre + reach + 0.5));
    Taps& taps = all[static_cast<std::size_t>(i)];
    taps.first = first;
    double sum = 0;
    for (std::int64_t k = first; k < last; ++k) {
      const double away = std::fabs((static_cast<double>(k) + 0.5 - centre) / reach);
      taps.weights.push_back(std::max(0.0, 1 - away));
      sum += taps.weights.back();
    }
    for (double& weight : taps.weights) weight /= sum;
  }
  return all;
}

// Along one axis: `outer` blocks of `from` groups of `inner` bytes.
std::vector<std::uint8_t> resample(const std::vector<std::uint8_t>& source, std::int64_t outer,
                                   std::int64_t from, std::int64_t to, std::int64_t inner) {
  if (from == to) return source;
  const std::vector<Taps> all = taps_of(from, to);
  std::vector<std::uint8_t> out(static_cast<std::size_t>(outer * to * inner));
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = 0; i < to; ++i) {
      const Taps& taps = all[static_cast<std::size_t>(i)];
      for (std::int64_t c = 0; c < inner; ++c) {
        double sum = 0.5;
        for (std::size_t k = 0; k < taps.weights.size(); ++k) {
          const std::int64_t at =
              (o * from + taps.first + static_cast<std::int64_t>(k)) * inner + c;
          sum += taps.weights[k] * source[static_cast<std::size_t>(at)];
        }
        out[static_cast<std::size_t>((o * to + i) * inner + c)] =
            static_cast<std::uint8_t>(std::clamp(sum, 0.0, 255.0));
      }
    }
  }
  return out;
}

}  // namespace

Expected<Image> decode_image(std::span<const std::byte> bytes, int channels) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto decode = [&]() -> Expected<Image> {
    if (text.starts_with("\x89PNG\r\n\x1a\n")) return decode_png(bytes);
    if (text.starts_with("\xff\xd8\xff")) return decode_jpeg(bytes);
    if (text.starts_with("P5") || text.starts_with("P6")) return decode_pnm(text);
    return unsupported("not an image of a known format").fix("PNG, JPEG and binary PNM are read");
  };
  THIMBLE_ASSIGN(Image image, decode());
  return with_channels(std::move(image), channels);
}

Image resized(const Image& image, std::int64_t width, std::int64_t height) {
  Image out{width, height, image.channels, {}};
  out.pixels = resample(image.pixels, image.height, image.width, width, image.channels);
  out.pixels = resample(out.pixels, 1, image.height, height, width * image.channels);
  return out;
}

}  // namespace thimble::data
