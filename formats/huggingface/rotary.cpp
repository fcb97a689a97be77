// Rotary frequencies and their stretchings, as config.json names them.
//   linear   positions divided by a factor (Chen et al. 2023, arXiv 2306.15595)
//   llama3   low frequencies divided, high ones kept, a ramp between (Llama 3.1)
//   yarn     the ramp by rotations, with an attention factor (Peng et al. 2023, arXiv 2309.00071,
//   eq. 17-23) factors  each frequency divided by its own factor (GGUF's rope_freqs) longrope a
//   factor per frequency, one set for short and one for long texts (Ding et al. 2024, arXiv
//   2402.13753)

#include <algorithm>
#include <cmath>

#include "formats/huggingface/config.h"
#include "support/math.h"

namespace thimble::formats {
namespace {

constexpr double kPi = 3.14159265358979323846;

Status scale_llama3(const Config& p, std::vector<double>& frequencies) {
  THIMBLE_ASSIGN(const double factor, p.real_or("factor", 8));
  THIMBLE_ASSIGN(const double low, p.real_or("low_freq_factor", 1));
  THIMBLE_ASSIGN(const double high, p.real_or("high_freq_factor", 4));
  THIMBLE_ASSIGN(const double original, p.real_or("original_max_position_embeddings", 8192));
  for (double& f : frequencies) {
    const double wavelength = 2 * kPi / f;
    if (wavelength > original / low) {
      f = f / factor;
    } else if (wavelength >= original / high) {
      const double smooth = (original / wavelength - low) / (high - low);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
  return ok();
}

Status scale_yarn(const Config& p, const RotaryRequest& request, std::int64_t dim,
                  std::vector<double>& frequencies, Rotary& rotary) {
  THIMBLE_ASSIGN(const double original, p.real_or("original_max_position_embeddings",
                                                  static_cast<double>(request.max_context)));
  THIMBLE_ASSIGN(const double factor,
                 p.real_or("factor", static_cast<double>(request.max_context) / original));
  THIMBLE_ASSIGN(const double mscale, p.real_or("mscale", 0));
  THIMBLE_ASSIGN(const double mscale_all, p.real_or("mscale_all_dim", 0));
  const double computed = mscale != 0 && mscale_all != 0
                              ? yarn_attention(factor, mscale) / yarn_attention(factor, mscale_all)
                              : yarn_attention(factor);
  THIMBLE_ASSIGN(const double given, p.real_or("attention_factor", computed));
  rotary.attention_factor = static_cast<float>(given);
  rotary.factor = factor;
  rotary.original_context = static_cast<std::int64_t>(original);
  THIMBLE_ASSIGN(const double fast, p.real_or("beta_fast", 32));
  THIMBLE_ASSIGN(const double slow, p.real_or("beta_slow", 1));
  THIMBLE_ASSIGN(const bool truncate, p.boolean_or("truncate", true));
  rotary.usual_ramp = fast == 32 && slow == 1 && truncate;
  auto pair_of = [&](double rotations) {
    return static_cast<double>(dim) * math::log(original / (rotations * 2 * kPi)) /
           (2 * math::log(request.theta));
  };
  double low = pair_of(fast), high = pair_of(slow);
  if (truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] = frequencies[i] / factor * ramp + frequencies[i] * (1 - ramp);
  }
  return ok();
}

Expected<std::vector<float>> divided(const Config& p, const std::string& key,
                                     const std::vector<double>& frequencies) {
  THIMBLE_ASSIGN(const std::vector<double> factors, p.reals(key));
  if (factors.size() != frequencies.size())
    return p.wrong(key, "has " + std::to_string(factors.size()) + " entries, not " +
                            std::to_string(frequencies.size()));
  std::vector<float> out;
  for (std::size_t i = 0; i < factors.size(); ++i)
    out.push_back(static_cast<float>(frequencies[i] / factors[i]));
  return out;
}

Status scale_longrope(const Config& p, const RotaryRequest& request,
                      const std::vector<double>& frequencies, Rotary& rotary) {
  THIMBLE_ASSIGN(const std::int64_t original,
                 p.integer_or("original_max_position_embeddings", request.original_context, 0,
                              std::int64_t{1} << 30));
  if (original == 0) return p.wrong("original_max_position_embeddings", "is missing");
  THIMBLE_ASSIGN(const double factor, p.real_or("factor", static_cast<double>(request.max_context) /
                                                              static_cast<double>(original)));
  const double computed =
      factor <= 1 ? 1.0
                  : std::sqrt(1 + math::log(factor) / math::log(static_cast<double>(original)));
  THIMBLE_ASSIGN(const double given, p.real_or("attention_factor", computed));
  rotary.attention_factor = static_cast<float>(given);
  rotary.original_context = original;
  THIMBLE_ASSIGN(rotary.frequencies, divided(p, "short_factor", frequencies));
  THIMBLE_ASSIGN(rotary.long_frequencies, divided(p, "long_factor", frequencies));
  return ok();
}

}  // namespace

std::vector<double> plain_frequencies(double theta, std::int64_t dim) {
  std::vector<double> out;
  for (std::int64_t i = 0; i < dim / 2; ++i)
    out.push_back(1.0 / math::pow(theta, 2.0 * static_cast<double>(i) / static_cast<double>(dim)));
  return out;
}

double yarn_attention(double factor, double multiplier) {
  return factor <= 1 ? 1.0 : 0.1 * multiplier * math::log(factor) + 1.0;
}

Expected<Rotary> read_rotary(const Config& p, const RotaryRequest& request) {
  if (!(request.partial > 0 && request.partial <= 1))
    return p.wrong("partial_rotary_factor", "must lie above 0 and not above 1");
  Rotary rotary;
  rotary.dim = static_cast<std::int64_t>(static_cast<double>(request.head_dim) * request.partial);
  if (rotary.dim < 2 || rotary.dim % 2 != 0)
    return unsupported("rotary positions of " + std::to_string(rotary.dim) + " dimensions")
        .in(p.file());
  std::vector<double> frequencies = plain_frequencies(request.theta, rotary.dim);
  THIMBLE_ASSIGN(const std::string old_name, p.text_or("type", "default"));
  THIMBLE_ASSIGN(const std::string type, p.text_or("rope_type", old_name));
  rotary.type = type;
  rotary.theta = request.theta;
  (void)p.has("rope_theta");
  (void)p.has("partial_rotary_factor");
  if (type == "linear") {
    THIMBLE_ASSIGN(rotary.factor, p.real_or("factor", 1));
    for (double& f : frequencies) f /= rotary.factor;
  } else if (type == "llama3") {
    THIMBLE_TRY(scale_llama3(p, frequencies));
  } else if (type == "yarn") {
    THIMBLE_TRY(scale_yarn(p, request, rotary.dim, frequencies, rotary));
  } else if (type == "factors") {
    THIMBLE_ASSIGN(rotary.frequencies, divided(p, "factors", frequencies));
    THIMBLE_ASSIGN(const double attention, p.real_or("attention_factor", 1));
    rotary.attention_factor = static_cast<float>(attention);
  } else if (type == "longrope" || type == "su") {
    THIMBLE_TRY(scale_longrope(p, request, frequencies, rotary));
  } else if (type == "dynamic") {
    return unsupported(
               "rope type 'dynamic' is not supported: its frequencies change with the length of "
               "the text, and keys that are cached can't follow")
        .in(p.file())
        .fix("set rope_scaling to null: up to max_position_embeddings the model is the same");
  } else if (type != "default") {
    return unsupported("rope type '" + type +
                       "' is not supported; supported are default, linear, llama3, yarn, longrope")
        .in(p.file());
  }
  if (rotary.frequencies.empty()) rotary.frequencies.assign(frequencies.begin(), frequencies.end());
  THIMBLE_TRY(p.check_all_used("rope type '" + type + "'"));
  return rotary;
}

}  // namespace thimble::formats
