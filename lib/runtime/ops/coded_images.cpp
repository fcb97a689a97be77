// Images of codes: from floats and back, sums of two, joined channels.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/ops/coded.h"
#include "runtime/ops/numbers.h"
#include "runtime/ops/transpose_bytes.h"

namespace thimble::runtime {
namespace {

using program::Op;
using program::Type;

constexpr std::int64_t kPlaces = 64;  // of a run

bool is_code(std::int64_t code) { return code >= 0 && code <= 255; }

struct Scaling {
  float scale;
  std::int32_t zero;
};

Expected<Scaling> scaling_of(const Call& call) {
  const float scale = call.instruction.real("scale", 1);
  const std::int64_t zero = call.instruction.integer("zero", 0);
  THIMBLE_TRY(
      demand(scale > 0 && std::isfinite(scale) && is_code(zero), "an image's scale is impossible"));
  return Scaling{scale, static_cast<std::int32_t>(zero)};
}

Status shape_encode(const Call& call, std::vector<Dims>& results) {
  const Value& x = *call.inputs[0];
  THIMBLE_TRY(scaling_of(call));
  THIMBLE_TRY(demand(x.type == Type::kF32 && call.outputs[0]->type == Type::kU8 &&
                         x.dims.size() >= 3 && x.dims.size() <= 5,
                     "EncodeImage takes f32 images and gives u8"));
  results[0] = channels_last(x.dims);
  return ok();
}

Status shape_decode(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(scaling_of(call));
  THIMBLE_TRY(check_codes(*call.inputs[0]));
  THIMBLE_TRY(demand(call.outputs[0]->type == Type::kF32, "DecodeImage gives f32"));
  results[0] = channels_first(call.inputs[0]->dims);
  return ok();
}

// Eight lines of `kPlaces` bytes each, to or from eight bytes of each place.
template <class F>
void each_corner(std::uint8_t (*lines)[kPlaces], std::int64_t count, F f) {
  for (std::int64_t place = 0; place < count; place += 8)
    f(lines[0] + place, place, std::min<std::int64_t>(8, count - place));
}

void encode_run(Machine& machine, const float* x, std::int64_t pitch, std::int64_t channels,
                std::int64_t count, const Scaling& s, std::uint8_t* y) {
  std::uint8_t lines[8][kPlaces] = {};
  for (std::int64_t c = 0; c < channels; c += 8) {
    const std::int64_t some = std::min<std::int64_t>(8, channels - c);
    for (std::int64_t i = 0; i < some; ++i)
      machine.coded.encode(x + (c + i) * pitch, count, s.scale, s.zero, lines[i]);
    each_corner(lines, count, [&](std::uint8_t* corner, std::int64_t place, std::int64_t places) {
      std::uint64_t rows[8];
      for (int i = 0; i < 8; ++i) std::memcpy(&rows[i], corner + i * kPlaces, 8);
      transpose_bytes(rows);
      for (std::int64_t p = 0; p < places; ++p)
        copy_few(reinterpret_cast<const std::uint8_t*>(&rows[p]), some,
                 y + (place + p) * channels + c);
    });
  }
}

void decode_run(Machine& machine, const std::uint8_t* x, std::int64_t channels, std::int64_t count,
                const Scaling& s, float* y, std::int64_t pitch) {
  std::uint8_t lines[8][kPlaces] = {};
  for (std::int64_t c = 0; c < channels; c += 8) {
    const std::int64_t some = std::min<std::int64_t>(8, channels - c);
    each_corner(lines, count, [&](std::uint8_t* corner, std::int64_t place, std::int64_t places) {
      std::uint64_t rows[8] = {};
      for (std::int64_t p = 0; p < places; ++p)
        copy_few(x + (place + p) * channels + c, some, reinterpret_cast<std::uint8_t*>(&rows[p]));
      transpose_bytes(rows);
      for (int i = 0; i < 8; ++i) std::memcpy(corner + i * kPlaces, &rows[i], 8);
    });
    for (std::int64_t i = 0; i < some; ++i)
      machine.coded.decode(lines[i], count, s.scale, s.zero, y + (c + i) * pitch);
  }
}

// Calls f(image, first place, places) for runs of the images of x [batch, channels, spatial...].
template <class F>
void over_place_runs(Call& call, std::int64_t batch, std::int64_t channels, std::int64_t places,
                     F f) {
  const std::int64_t runs = ceil_div(places, kPlaces);
  over_each(call.machine, batch * runs, channels * kPlaces, [&](std::int64_t job) {
    const std::int64_t first = job % runs * kPlaces;
    f(job / runs, first, std::min(kPlaces, places - first));
  });
}

Status run_encode(Call& call) {
  THIMBLE_ASSIGN(const Scaling s, scaling_of(call));
  const Dims& dims = call.inputs[0]->dims;
  const std::int64_t channels = dims[1], places = product_of(dims, 2, dims.size());
  const float* x = call.inputs[0]->floats();
  auto* y = data_of<std::uint8_t>(*call.outputs[0]);
  over_place_runs(call, dims[0], channels, places,
                  [&](std::int64_t n, std::int64_t first, std::int64_t count) {
                    const std::int64_t image = n * channels * places;
                    encode_run(call.machine, x + image + first, places, channels, count, s,
                               y + image + first * channels);
                  });
  return ok();
}

Status run_decode(Call& call) {
  THIMBLE_ASSIGN(const Scaling s, scaling_of(call));
  const Dims& dims = call.outputs[0]->dims;
  const std::int64_t channels = dims[1], places = product_of(dims, 2, dims.size());
  const auto* x = data_of<std::uint8_t>(*call.inputs[0]);
  float* y = call.outputs[0]->floats();
  over_place_runs(call, dims[0], channels, places,
                  [&](std::int64_t n, std::int64_t first, std::int64_t count) {
                    const std::int64_t image = n * channels * places;
                    decode_run(call.machine, x + image + first * channels, channels, count, s,
                               y + image + first, places);
                  });
  return ok();
}

Status shape_round(const Call& call, std::vector<Dims>& results) {
  THIMBLE_TRY(scaling_of(call));
  THIMBLE_TRY(demand(call.inputs[0]->type == Type::kF32 && call.outputs[0]->type == Type::kF32,
                     "RoundToCodes takes f32 and gives f32"));
  return shape_same(call, results);
}

Status run_round(Call& call) {
  THIMBLE_ASSIGN(const Scaling s, scaling_of(call));
  const Value& x = *call.inputs[0];
  float* y = call.outputs[0]->floats();
  over_pieces(call, x.count(), [&](std::int64_t from, std::int64_t count) {
    constexpr std::int64_t kSome = 256;
    std::uint8_t codes[kSome];
    for (std::int64_t at = from; at < from + count; at += kSome) {
      const std::int64_t some = std::min(kSome, from + count - at);
      call.machine.coded.encode(x.floats() + at, some, s.scale, s.zero, codes);
      call.machine.coded.decode(codes, some, s.scale, s.zero, y + at);
    }
  });
  return ok();
}

Status shape_mix(const Call& call, std::vector<Dims>& results) {
  const Value &a = *call.inputs[0], &b = *call.inputs[1];
  const program::Attribute* factors = call.instruction.find("factors");
  THIMBLE_TRY(code_range_of(call));
  THIMBLE_TRY(demand(a.type == Type::kU8 && b.type == Type::kU8 && a.dims == b.dims &&
                         call.outputs[0]->type == Type::kU8 && factors != nullptr &&
                         factors->floats.size() == 3,
                     "MixCodes takes two images of codes alike, and three factors"));
  results[0] = a.dims;
  return ok();
}

Status run_mix(Call& call) {
  constexpr std::int64_t kPiece = 4096;
  THIMBLE_ASSIGN(const CodeRange range, code_range_of(call));
  const std::vector<float>& factors = call.instruction.find("factors")->floats;
  const kernels::Mixture m{factors[0], factors[1], factors[2], range.zero, range.low, range.high};
  const std::int64_t count = call.inputs[0]->count();
  const auto *a = data_of<std::uint8_t>(*call.inputs[0]),
             *b = data_of<std::uint8_t>(*call.inputs[1]);
  auto* y = data_of<std::uint8_t>(*call.outputs[0]);
  over_rows(call.machine, ceil_div(count, kPiece), kPiece,
            [&](std::int64_t begin, std::int64_t end) {
              const std::int64_t from = begin * kPiece;
              const std::int64_t to = std::min(end * kPiece, count);
              call.machine.coded.mix(a + from, b + from, to - from, m, y + from);
            });
  return ok();
}

Status shape_join(const Call& call, std::vector<Dims>& results) {
  const program::Attribute *factors = call.instruction.find("factors"),
                           *zeros = call.instruction.find("zeros");
  THIMBLE_TRY(code_range_of(call));
  THIMBLE_TRY(demand(factors != nullptr && zeros != nullptr &&
                         factors->floats.size() == call.inputs.size() &&
                         zeros->ints.size() == call.inputs.size() &&
                         std::all_of(zeros->ints.begin(), zeros->ints.end(), is_code) &&
                         call.outputs[0]->type == Type::kU8,
                     "ConcatCodes takes a factor and a zero for each image"));
  results[0] = call.inputs[0]->dims;
  if (results[0].empty()) return invalid_argument("ConcatCodes takes images of codes");
  results[0].back() = 0;
  for (const Value* x : call.inputs) {
    THIMBLE_TRY(check_codes(*x));
    Dims dims = x->dims;
    dims.back() = results[0].back();
    THIMBLE_TRY(demand(dims == results[0], "ConcatCodes's images don't fit"));
    results[0].back() += x->dims.back();
  }
  return ok();
}

// What each code of an input is among the result's.
void fill_table(const CodeRange& range, float factor, std::int64_t zero, std::uint8_t* table) {
  const auto low = static_cast<float>(range.low - range.zero);
  const auto high = static_cast<float>(range.high - range.zero);
  for (int code = 0; code < 256; ++code) {
    const float x = static_cast<float>(code - zero) * factor;
    const float cut = std::nearbyint(x > low ? x < high ? x : high : low);
    table[code] = static_cast<std::uint8_t>(cut + static_cast<float>(range.zero));
  }
}

Status run_join(Call& call) {
  THIMBLE_ASSIGN(const CodeRange range, code_range_of(call));
  const std::vector<float>& factors = call.instruction.find("factors")->floats;
  const std::vector<std::int64_t>& zeros = call.instruction.find("zeros")->ints;
  const Value& y = *call.outputs[0];
  const std::int64_t width = y.dims.back(), places = width > 0 ? y.count() / width : 0;
  std::int64_t at = 0;
  for (std::size_t i = 0; i < call.inputs.size(); ++i) {
    const std::int64_t channels = call.inputs[i]->dims.back();
    const auto* from = data_of<std::uint8_t>(*call.inputs[i]);
    std::uint8_t* to = data_of<std::uint8_t>(*call.outputs[0]) + at;
    std::uint8_t table[256];
    fill_table(range, factors[i], zeros[i], table);
    const bool same =
        factors[i] == 1 && zeros[i] == range.zero && range.low == 0 && range.high == 255;
    over_each(call.machine, places, channels, [&](std::int64_t p) {
      if (same) {
        std::memcpy(to + p * width, from + p * channels, static_cast<std::size_t>(channels));
      } else {
        for (std::int64_t c = 0; c < channels; ++c)
          to[p * width + c] = table[from[p * channels + c]];
      }
    });
    at += channels;
  }
  return ok();
}

}  // namespace

Dims channels_last(const Dims& dims) {
  Dims out = dims;
  std::rotate(out.begin() + 1, out.begin() + 2, out.end());
  return out;
}

Dims channels_first(const Dims& dims) {
  Dims out = dims;
  std::rotate(out.begin() + 1, out.end() - 1, out.end());
  return out;
}

Status check_codes(const Value& value) {
  return demand(value.type == Type::kU8 && value.dims.size() >= 3 && value.dims.size() <= 5,
                "an instruction on codes takes u8 images");
}

Expected<CodeRange> code_range_of(const Call& call) {
  const program::Instruction& i = call.instruction;
  const std::int64_t x_zero = i.integer("x_zero", 0), zero = i.integer("zero", 0),
                     low = i.integer("low", 0), high = i.integer("high", 255);
  THIMBLE_TRY(
      demand(is_code(x_zero) && is_code(zero) && is_code(low) && is_code(high) && low <= high,
             "an instruction's codes are out of range"));
  return CodeRange{static_cast<std::int32_t>(x_zero), static_cast<std::int32_t>(zero),
                   static_cast<std::int32_t>(low), static_cast<std::int32_t>(high)};
}

void list_taps(const Windows& w, const std::uint8_t* image, std::int64_t channels,
               const Space& start, const std::uint8_t* outside, const std::uint8_t** taps) {
  for (std::int64_t a = 0; a < w.kernel[0]; ++a) {
    const std::int64_t depth = start[0] + a * w.dilation[0];
    for (std::int64_t b = 0; b < w.kernel[1]; ++b) {
      const std::int64_t row = start[1] + b * w.dilation[1];
      const bool there = depth >= 0 && depth < w.in[0] && row >= 0 && row < w.in[1];
      for (std::int64_t c = 0; c < w.kernel[2]; ++c) {
        const std::int64_t column = start[2] + c * w.dilation[2];
        const bool inside = there && column >= 0 && column < w.in[2];
        *taps++ =
            inside ? image + ((depth * w.in[1] + row) * w.in[2] + column) * channels : outside;
      }
    }
  }
}

std::span<const Operator> coded_images() {
  static constexpr Operator kOperators[] = {
      {Op::kEncodeImage, run_encode, nullptr, shape_encode},
      {Op::kDecodeImage, run_decode, nullptr, shape_decode},
      {Op::kRoundToCodes, run_round, nullptr, shape_round},
      {Op::kMixCodes, run_mix, nullptr, shape_mix},
      {Op::kConcatCodes, run_join, nullptr, shape_join},
  };
  return kOperators;
}

}  // namespace thimble::runtime
