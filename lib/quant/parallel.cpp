#include "quant/parallel.h"

#include <algorithm>

#include "quant/decode.h"
#include "support/checked.h"

namespace thimble::quant {
namespace {

constexpr std::int64_t kChunk = 64;

// The part of a row-major stream that belongs to rows [begin, begin + count); empty stays empty.
template <class T>
std::vector<T> slice(const std::vector<T>& stream, std::int64_t begin, std::int64_t count,
                     std::int64_t rows) {
  const std::int64_t width = std::ssize(stream) / rows;
  return {stream.begin() + begin * width, stream.begin() + (begin + count) * width};
}

template <class T>
void place(const std::vector<T>& part, std::vector<T>& stream, std::int64_t begin,
           std::int64_t count) {
  std::copy(part.begin(), part.end(), stream.begin() + begin * (std::ssize(part) / count));
}

}  // namespace

Status quantize_rows_parallel(const WeightMatrix& weights, const ir::Encoding& encoding,
                              const SearchOptions& options, ir::Rows& out, ThreadPool& pool) {
  THIMBLE_CHECK(!encoding.per_tensor, "rows that don't depend on each other");
  const auto chunks = static_cast<std::size_t>(ceil_div(weights.rows, kChunk));
  if (chunks <= 1) return quantize_rows(weights, encoding, options, out);
  out = empty_rows(encoding, weights.rows, weights.inputs);
  std::vector<std::uint8_t> failed(chunks);
  pool.parallel_each(chunks, 1, [&](std::size_t chunk) {
    const std::int64_t row = static_cast<std::int64_t>(chunk) * kChunk;
    const std::int64_t count = std::min(kChunk, weights.rows - row);
    ir::Rows streams;
    failed[chunk] = !quantize_rows(weights.part(row, count), encoding, options, streams);
    if (failed[chunk]) return;
    place(streams.codes, out.codes, row, count);
    place(streams.scales, out.scales, row, count);
    place(streams.zero_points, out.zero_points, row, count);
    place(streams.minima, out.minima, row, count);
    place(streams.sub_scales, out.sub_scales, row, count);
  });
  if (std::ranges::count(failed, 0) == std::ssize(failed)) return ok();
  return quantize_rows(weights, encoding, options, out);  // to name the row
}

Expected<std::vector<float>> rounding_errors(const WeightMatrix& weights, const ir::Rows& rows,
                                             const ir::Encoding& encoding, ThreadPool& pool) {
  const std::int64_t inputs = weights.inputs;
  std::vector<float> errors(weights.values.size());
  const auto chunks = static_cast<std::size_t>(ceil_div(rows.count, kChunk));
  std::vector<Status> statuses(chunks);
  pool.parallel_each(chunks, 1, [&](std::size_t chunk) {
    const std::int64_t row = static_cast<std::int64_t>(chunk) * kChunk;
    const std::int64_t count = std::min(kChunk, rows.count - row);
    ir::Rows part;
    part.count = count;
    part.codes = slice(rows.codes, row, count, rows.count);
    part.scales = slice(rows.scales, row, count, rows.count);
    part.zero_points = slice(rows.zero_points, row, count, rows.count);
    part.minima = slice(rows.minima, row, count, rows.count);
    part.sub_scales = slice(rows.sub_scales, row, count, rows.count);
    part.sub_minima = slice(rows.sub_minima, row, count, rows.count);
    float* out = errors.data() + row * inputs;
    statuses[chunk] = decode_rows(encoding, part, count, inputs, out);
    for (std::int64_t i = 0; i < count * inputs; ++i) {
      out[i] = weights.values[static_cast<std::size_t>(row * inputs + i)] - out[i];
    }
  });
  for (Status& status : statuses) THIMBLE_TRY(std::move(status));
  return errors;
}

}  // namespace thimble::quant
