#include "pass/finite.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <set>

#include "ir/decode.h"
#include "ir/match.h"
#include "support/finite.h"
#include "support/system.h"

namespace thimble::pass {
namespace {

constexpr std::int64_t kElementsAtOnce = 1 << 20;

struct Chunk {
  std::size_t weight = 0;
  std::int64_t begin = 0, end = 0;  // rows
};

struct Count {
  std::uint64_t bad = 0;     // NaN and infinities
  std::uint64_t masked = 0;  // of these, -inf
  std::int64_t row = -1;     // the first with one
};

constexpr std::uint32_t kMinusInfinity = 0xff800000u;

// False where a look at each number must tell.
bool surely_finite(ir::DType type, std::span<const std::byte> bytes) {
  switch (type) {
    case ir::DType::kF32:
      return all_finite<std::uint32_t>(bytes, 1u << 23);
    case ir::DType::kF16:
      return all_finite<std::uint16_t>(bytes, 1u << 10);
    case ir::DType::kBF16:
      return all_finite<std::uint16_t>(bytes, 1u << 7);
    default:
      return false;
  }
}

Count count_in(std::span<const float> values, std::int64_t row_size, std::int64_t first_row) {
  Count count;
  if (all_finite(values)) return count;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(values[i]);
    if ((bits & 0x7f800000u) != 0x7f800000u) continue;
    if (count.bad == 0) count.row = first_row + static_cast<std::int64_t>(i) / row_size;
    count.bad += 1;
    count.masked += bits == kMinusInfinity;
  }
  return count;
}

Expected<Count> count_in(const ir::Weight& weight, const Chunk& chunk) {
  THIMBLE_ASSIGN(const ir::Rows rows, weight.source->read(chunk.begin, chunk.end));
  const std::int64_t count = chunk.end - chunk.begin;
  const std::int64_t inputs = std::max<std::int64_t>(1, weight.inputs());
  if (weight.encoding.is_dense()) {
    if (surely_finite(weight.dtype, rows.dense)) return Count();
    std::vector<float> values(static_cast<std::size_t>(count * weight.inputs()));
    THIMBLE_TRY(ir::decode_dense(weight.dtype, rows.dense, values));
    return count_in(values, inputs, chunk.begin);
  }
  Count total;
  for (const std::vector<float>* stream : {&rows.scales, &rows.minima}) {
    const auto of_row = static_cast<std::int64_t>(stream->size()) / count;
    const Count found = count_in(*stream, std::max<std::int64_t>(1, of_row), chunk.begin);
    if (total.row < 0) total.row = found.row;
    total.bad += found.bad;
    total.masked += found.masked;
  }
  return total;
}

std::vector<Chunk> chunks_of(const ir::Model& model) {
  std::vector<Chunk> chunks;
  for (std::size_t w = 0; w < model.weights.size(); ++w) {
    const ir::Weight& weight = model.weights[w];
    if (weight.source == nullptr || !ir::dtype_is_float(weight.dtype)) continue;
    if (weight.element_count() == 0) continue;
    const std::int64_t step = std::max<std::int64_t>(1, kElementsAtOnce / weight.inputs());
    for (std::int64_t row = 0; row < weight.rows(); row += step)
      chunks.push_back({w, row, std::min(weight.rows(), row + step)});
  }
  return chunks;
}

Finding finding_of(const ir::Weight& weight, const Count& count) {
  const std::string what = weight.encoding.is_dense() ? "weights" : "scales or minima";
  return {FindingKind::kNotFinite, weight.name, count.bad,
          std::to_string(count.bad) + " " + what + " are not finite, first in row " +
              std::to_string(count.row),
          ""};
}

}  // namespace

Expected<std::vector<Finding>> find_not_finite(const ir::Model& model, ThreadPool& pool) {
  const std::vector<Chunk> chunks = chunks_of(model);
  std::vector<Count> counts(model.weights.size());
  std::mutex mutex;
  Status failed = ok();
  pool.parallel_for(chunks.size(), 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end && !system::interrupted(); ++i) {
      const Chunk& chunk = chunks[i];
      const ir::Weight& weight = model.weights[chunk.weight];
      auto found = count_in(weight, chunk);
      weight.source->release(chunk.begin, chunk.end);
      const std::lock_guard lock(mutex);
      if (!found) {
        failed = std::move(found).error().at_tensor(weight.name);
        return;
      }
      if (found->bad == 0) continue;
      Count& total = counts[chunk.weight];
      total.row = total.row < 0 ? found->row : std::min(total.row, found->row);
      total.bad += found->bad;
      total.masked += found->masked;
    }
  });
  THIMBLE_TRY(system::check_interrupt());
  if (!failed) return std::move(failed).error();
  std::set<std::size_t> multiplied;
  for (const ir::WeightUse& use : ir::quantizable_weights_everywhere(model))
    multiplied.insert(use.weight.index);
  std::vector<Finding> findings;
  for (std::size_t w = 0; w < counts.size(); ++w) {
    if (counts[w].bad == 0) continue;
    if (counts[w].bad == counts[w].masked && !multiplied.contains(w)) continue;
    findings.push_back(finding_of(model.weights[w], counts[w]));
  }
  return findings;
}

}  // namespace thimble::pass
