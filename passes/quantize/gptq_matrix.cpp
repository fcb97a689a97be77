#include "passes/quantize/gptq_matrix.h"

#include <algorithm>

#include "quant/decode.h"
#include "quant/error_metrics.h"
#include "quant/hessian.h"

namespace thimble::passes {
namespace {

constexpr std::int64_t kWeightBytes = std::int64_t{512} << 20;  // that one call may take

void append(ir::Rows& all, const ir::Rows& part) {
  const auto add = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  all.count += part.count;
  add(all.codes, part.codes);
  add(all.scales, part.scales);
  add(all.zero_points, part.zero_points);
  add(all.sub_scales, part.sub_scales);
}

double ratio(double part, double whole) { return whole == 0 ? 0 : part / whole; }

// Sums over rows, group by group.
class MatrixRun {
 public:
  MatrixRun(const ir::Encoding& encoding, quant::Search search, ThreadPool& pool)
      : encoding_(encoding), search_(search), pool_(pool) {}

  // Rows don't depend on each other: as many at a time as memory allows.
  Status add_group(const quant::WeightMatrix& matrix, const quant::GptqFactors& factors) {
    const std::int64_t step =
        std::max<std::int64_t>(16, kWeightBytes / (16 * matrix.inputs) / 16 * 16);
    for (std::int64_t row = 0; row < matrix.rows; row += step) {
      const quant::WeightMatrix part = matrix.part(row, std::min(step, matrix.rows - row));
      THIMBLE_ASSIGN(const quant::GptqResult done,
                     quant::gptq(part, factors, encoding_, search_, pool_));
      THIMBLE_TRY(add_plain_errors(part, done.rows));
      output_error_ += done.error;
      rounding_error_ += done.rounding_error;
      output_signal_ += factors.hessian.error(part.values, part.rows, pool_);
      result_.zero_groups += quant::count_zero_groups(part, encoding_);
      append(result_.rows, done.rows);
    }
    result_.dead += factors.hessian.dead().size();
    return ok();
  }

  GptqMatrix finish() {
    result_.error = plain_.relative_squared();
    result_.output_error = ratio(output_error_, output_signal_);
    result_.rounding_output_error = ratio(rounding_error_, output_signal_);
    return std::move(result_);
  }

 private:
  Status add_plain_errors(const quant::WeightMatrix& weights, const ir::Rows& rows) {
    std::vector<float> decoded(weights.values.size());
    THIMBLE_TRY(quant::decode_rows(encoding_, rows, weights.rows, weights.inputs, decoded.data()));
    plain_.add(weights.values, decoded);
    return ok();
  }

  const ir::Encoding& encoding_;
  quant::Search search_;
  ThreadPool& pool_;
  GptqMatrix result_;
  quant::ErrorMetrics plain_;  // of the weights
  double output_error_ = 0, rounding_error_ = 0, output_signal_ = 0;
};

}  // namespace

Expected<GptqMatrix> gptq_matrix(std::span<const float> matrix,
                                 std::span<const quant::GptqFactors> groups,
                                 const ir::Encoding& encoding, quant::Search search,
                                 ThreadPool& pool) {
  MatrixRun run(encoding, search, pool);
  const std::size_t part = matrix.size() / groups.size();
  for (std::size_t g = 0; g < groups.size(); ++g) {
    const std::int64_t inputs = groups[g].hessian.inputs();
    THIMBLE_TRY(run.add_group(
        {matrix.subspan(g * part, part), static_cast<std::int64_t>(part) / inputs, inputs},
        groups[g]));
  }
  return run.finish();
}

}  // namespace thimble::passes
