#include "allocate/errors.h"

#include <algorithm>
#include <functional>
#include <mutex>

#include "lower/payload.h"
#include "quant/decode.h"
#include "quant/levels.h"
#include "quant/quantize.h"
#include "support/checked.h"
#include "support/system.h"

namespace thimble::allocate {
namespace {

constexpr std::int64_t kSampledWeights = std::int64_t{1} << 17;

struct Sampled {
  std::int64_t rows = 0, inputs = 0;
  std::vector<float> values;

  operator quant::WeightMatrix() const { return {values, rows, inputs}; }
};

Expected<Sampled> sample_rows(const ir::Weight& weight, const ir::Encoding& along) {
  ir::Weight shaped = weight;
  shaped.encoding = along;
  const std::int64_t rows = shaped.rows(), inputs = shaped.inputs();
  const std::int64_t wanted =
      std::clamp<std::int64_t>(kSampledWeights / std::max<std::int64_t>(1, inputs), 1, rows);
  Sampled out{wanted, inputs, {}};
  for (std::int64_t i = 0; i < wanted; ++i) {
    const std::int64_t row = i * rows / wanted;
    THIMBLE_ASSIGN(const std::vector<float> values,
                   quant::matrix_rows(weight, along, row, row + 1));
    out.values.insert(out.values.end(), values.begin(), values.end());
  }
  weight.source->release(0, weight.rows());
  return out;
}

double signal_of(const Sampled& sampled, std::span<const double> energy) {
  const auto inputs = static_cast<std::size_t>(sampled.inputs);
  double signal = 0;
  for (std::size_t i = 0; i < sampled.values.size(); ++i) {
    const double w = sampled.values[i];
    signal += (energy.empty() ? 1 : energy[i % inputs]) * w * w;
  }
  return signal;
}

double relative(double error, double signal) { return signal == 0 ? 0 : error / signal; }

Expected<double> error_of(const Sampled& sampled, const ir::Encoding& encoding, bool search,
                          std::span<const double> energy, double signal) {
  quant::SearchOptions options;
  options.search = search ? quant::Search::kMse : quant::Search::kAbsmax;
  ir::Rows rows;
  THIMBLE_TRY(quant::quantize_rows(sampled, encoding, options, rows));
  std::vector<float> decoded(sampled.values.size());
  THIMBLE_TRY(quant::decode_rows(encoding, rows, sampled.rows, sampled.inputs, decoded.data()));
  const auto inputs = static_cast<std::size_t>(sampled.inputs);
  double noise = 0;
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    const double e = static_cast<double>(sampled.values[i]) - decoded[i];
    noise += (energy.empty() ? 1 : energy[i % inputs]) * e * e;
  }
  return relative(noise, signal);
}

// What gptq leaves, on the scale of rounding's error.
Expected<double> compensated_error(const Sampled& sampled, const ir::Encoding& encoding,
                                   bool search, const quant::GptqFactors& factors, double signal) {
  ThreadPool alone(1);
  const auto how = search ? quant::Search::kMse : quant::Search::kAbsmax;
  THIMBLE_ASSIGN(const quant::GptqResult done, quant::gptq(sampled, factors, encoding, how, alone));
  return relative(done.error, signal);
}

std::vector<double> energies_of(const quant::GptqFactors& factors, std::int64_t inputs) {
  std::vector<double> energy;
  for (std::int64_t i = 0; i < inputs; ++i) energy.push_back(factors.hessian.diagonal(i));
  return energy;
}

constexpr std::int64_t kFittedWeights = std::int64_t{1} << 13;  // that levels are fitted to
constexpr std::int64_t kCompensatedRows = 48;                   // that gptq is tried on

// At most so many rows, spread evenly over the sampled ones.
Sampled part_of(const Sampled& all, std::int64_t most) {
  const std::int64_t wanted = std::clamp<std::int64_t>(most, 1, all.rows);
  Sampled out{wanted, all.inputs, {}};
  for (std::int64_t i = 0; i < wanted; ++i) {
    const auto* row = all.values.data() + i * all.rows / wanted * all.inputs;
    out.values.insert(out.values.end(), row, row + all.inputs);
  }
  return out;
}

Status fit(const ir::Weight& weight, const Sampled& part, bool search,
           std::span<const double> energy, pass::Offer& offer) {
  if (offer.fit == pass::Fit::kScaleExponent) {
    THIMBLE_ASSIGN(offer.encoding.scale_exponent, quant::nvfp4_exponent(weight));
    return ok();
  }
  quant::SearchOptions options;
  options.search = search ? quant::Search::kMse : quant::Search::kAbsmax;
  options.importance = quant::relative_importance(energy);
  THIMBLE_ASSIGN(offer.encoding.table, quant::fit_levels(part, offer.encoding, options));
  return ok();
}

// Offer i may be the best of its bytes: does no other lose little enough already, in as few?
bool may_win(const Item& item, const pass::OpenWeight& open, const std::vector<double>& errors,
             std::size_t i) {
  for (std::size_t other = 0; other < item.size(); ++other) {
    const bool known =
        open.offers[other].fit == pass::Fit::kNothing && !open.offers[other].encoding.is_dense();
    if (known && item[other].bytes <= item[i].bytes && errors[other] < kMostGain * errors[i])
      return false;
  }
  return true;
}

// Does `what` to those of the offers, but dense ones, that `which` says, shared out over the pool;
// the first of its errors, if any.
Status for_each_offer(const pass::OpenWeight& open, ThreadPool& pool,
                      const std::function<bool(std::size_t)>& which,
                      const std::function<Status(std::size_t)>& what) {
  std::mutex mutex;
  Status failed = ok();
  pool.parallel_each(open.offers.size(), 1, [&](std::size_t i) {
    if (system::interrupted() || open.offers[i].encoding.is_dense() || !which(i)) return;
    Status status = what(i);
    const std::lock_guard lock(mutex);
    if (!status && failed) failed = std::move(status);
  });
  THIMBLE_TRY(system::check_interrupt());
  return failed;
}

}  // namespace

Expected<std::uint64_t> stored_bytes(const ir::Weight& weight, const ir::Encoding& encoding,
                                     std::uint64_t alignment) {
  ir::Weight stored = weight;
  if (!encoding.is_dense()) stored.encoding = encoding;
  if (stored.encoding.is_dense()) return round_up(stored.byte_size(), alignment);
  THIMBLE_ASSIGN(const program::Tensor tiles, lower::tile_tensor(stored));
  const auto payload = lower::tile_payload(stored, tiles);
  std::uint64_t bytes = 0;
  for (const std::uint64_t piece : payload->piece_bytes())
    bytes += round_up(piece * static_cast<std::uint64_t>(payload->pieces()), alignment);
  return bytes;
}

Expected<OfferErrors> output_errors(const ir::Weight& weight, const Item& item,
                                    std::span<const double> energy,
                                    const quant::GptqFactors* factors, ThreadPool& pool,
                                    pass::OpenWeight& open) {
  OfferErrors errors;
  errors.rounding.assign(open.offers.size(), 0);
  errors.written = errors.rounding;
  const auto first = std::find_if(open.offers.begin(), open.offers.end(),
                                  [](const auto& offer) { return !offer.encoding.is_dense(); });
  if (first == open.offers.end()) return errors;
  THIMBLE_ASSIGN(const Sampled sampled, sample_rows(weight, first->encoding));
  const auto over = [&](auto which, auto what) {
    const Status status = for_each_offer(open, pool, which, what);
    return status ? ok() : Status(Error(status.error()).at_tensor(weight.name));
  };
  const double signal = signal_of(sampled, energy);
  const auto measure = [&](std::size_t i) -> Status {
    THIMBLE_ASSIGN(errors.rounding[i],
                   error_of(sampled, open.offers[i].encoding, open.search, energy, signal));
    return ok();
  };
  THIMBLE_TRY(over([&](std::size_t i) { return open.offers[i].fit != pass::Fit::kScaleExponent; },
                   measure));
  const Sampled part = part_of(sampled, kFittedWeights / std::max<std::int64_t>(1, sampled.inputs));
  const std::vector<double> unfitted = errors.rounding;
  const auto worth_it = [&](std::size_t i) {
    if (open.offers[i].fit != pass::Fit::kLevels)
      return open.offers[i].fit == pass::Fit::kScaleExponent;
    return may_win(item, open, unfitted, i);
  };
  THIMBLE_TRY(over(worth_it, [&](std::size_t i) -> Status {
    THIMBLE_TRY(fit(weight, part, open.search, energy, open.offers[i]));
    return measure(i);
  }));
  errors.written = errors.rounding;
  if (factors == nullptr) return errors;
  const Sampled tried = part_of(sampled, kCompensatedRows);
  const double tried_signal = signal_of(tried, energies_of(*factors, tried.inputs));
  THIMBLE_TRY(over([&](std::size_t i) { return may_win(item, open, errors.rounding, i); },
                   [&](std::size_t i) -> Status {
                     THIMBLE_ASSIGN(errors.written[i],
                                    compensated_error(tried, open.offers[i].encoding, open.search,
                                                      *factors, tried_signal));
                     return ok();
                   }));
  return errors;
}

}  // namespace thimble::allocate
