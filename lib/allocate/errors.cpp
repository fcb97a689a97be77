#include "allocate/errors.h"

#include <algorithm>
#include <mutex>

#include "lower/payload.h"
#include "quant/decode.h"
#include "quant/quantize.h"
#include "support/checked.h"
#include "support/system.h"

namespace thimble::allocate {
namespace {

constexpr std::int64_t kSampledWeights = std::int64_t{1} << 17;

struct Sampled {
  std::int64_t rows = 0, inputs = 0;
  std::vector<float> values;
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

Expected<double> error_of(const Sampled& sampled, const ir::Encoding& encoding, bool search,
                          std::span<const double> energy) {
  quant::SearchOptions options;
  options.search = search ? quant::Search::kMse : quant::Search::kAbsmax;
  ir::Rows rows;
  THIMBLE_TRY(
      quant::quantize_rows(sampled.values, sampled.rows, sampled.inputs, encoding, options, rows));
  std::vector<float> decoded(sampled.values.size());
  THIMBLE_TRY(quant::decode_rows(encoding, rows, sampled.rows, sampled.inputs, decoded.data()));
  const auto inputs = static_cast<std::size_t>(sampled.inputs);
  double noise = 0, signal = 0;
  for (std::size_t i = 0; i < decoded.size(); ++i) {
    const double w = sampled.values[i], e = w - decoded[i];
    const double share = energy.empty() ? 1 : energy[i % inputs];
    noise += share * e * e;
    signal += share * w * w;
  }
  return signal == 0 ? 0 : noise / signal;
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

Expected<std::vector<double>> output_errors(const ir::Weight& weight, const pass::OpenWeight& open,
                                            std::span<const double> energy, ThreadPool& pool) {
  std::vector<double> errors(open.encodings.size(), 0);
  const auto first =
      std::find_if(open.encodings.begin(), open.encodings.end(),
                   [](const ir::Encoding& encoding) { return !encoding.is_dense(); });
  if (first == open.encodings.end()) return errors;
  THIMBLE_ASSIGN(const Sampled sampled, sample_rows(weight, *first));
  std::mutex mutex;
  Status failed = ok();
  pool.parallel_for(errors.size(), 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end && !system::interrupted(); ++i) {
      if (open.encodings[i].is_dense()) continue;
      auto error = error_of(sampled, open.encodings[i], open.search, energy);
      if (error) {
        errors[i] = *error;
        continue;
      }
      const std::lock_guard lock(mutex);
      if (failed) failed = std::move(error).error().at_tensor(weight.name);
    }
  });
  if (system::interrupted()) return Error(ErrorCode::kInterrupted, "interrupted");
  THIMBLE_TRY(std::move(failed));
  return errors;
}

}  // namespace thimble::allocate
