#include <algorithm>
#include <atomic>
#include <bit>
#include <mutex>
#include <optional>
#include <string>

#include "ir/decode.h"
#include "ir/dim.h"
#include "quant/decode.h"
#include "quant/quantize.h"
#include "support/checked.h"

namespace thimble::quant {
namespace {

// Rows of the matrix that an encoding sees, out of a weight that is stored otherwise.
class MatrixRows {
 public:
  static Expected<MatrixRows> create(const ir::Weight& from, const ir::Encoding& encoding) {
    const auto rank = static_cast<std::int64_t>(from.dims.size());
    const std::int64_t axis = encoding.axis < 0 ? encoding.axis + rank : encoding.axis;
    const std::int64_t from_axis =
        from.encoding.axis < 0 ? from.encoding.axis + rank : from.encoding.axis;
    MatrixRows view;
    view.from_ = from;
    view.columns_ = from.encoding.is_dense() && axis == 0 && rank == 2;
    const bool in_order = from.encoding.is_dense()
                              ? axis == rank - 1
                              : axis == from_axis && encoding.flat == from.encoding.flat;
    if (from.source == nullptr || rank == 0 || (!view.columns_ && !in_order)) {
      return unsupported("a tensor of shape " +
                         ir::to_string(ir::Shape(from.dims.begin(), from.dims.end())) +
                         " cannot be quantized along axis " + std::to_string(encoding.axis))
          .at_tensor(from.name);
    }
    ir::Weight encoded = from;
    encoded.encoding = encoding;
    view.rows_ = encoded.rows();
    view.inputs_ = encoded.inputs();
    return view;
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t inputs() const { return inputs_; }
  const ir::Weight& from() const { return from_; }

  Expected<std::vector<float>> read(std::int64_t begin, std::int64_t end) const {
    if (columns_) return read_columns(begin, end);
    // Rows of the source hold a whole number of ours.
    const std::int64_t per_row = per_source_row();
    const std::int64_t first = begin / per_row, last = ceil_div(end, per_row);
    THIMBLE_ASSIGN(std::vector<float> values, decode_rows(from_, first, last));
    if (per_row == 1) return values;
    const auto at = values.begin() + (begin - first * per_row) * inputs_;
    return std::vector<float>(at, at + (end - begin) * inputs_);
  }

  void release(std::int64_t begin, std::int64_t end) const {
    if (columns_) {  // each of ours takes from every row of the source, until the last is done
      if (end == rows_) from_.source->release(0, from_.rows());
      return;
    }
    const std::int64_t per_row = per_source_row();
    from_.source->release(begin / per_row, end / per_row);
  }

 private:
  std::int64_t per_source_row() const {
    return inputs_ == 0 ? 1 : std::max<std::int64_t>(1, from_.inputs() / inputs_);
  }

  // Columns [begin, end) of a [K, N] matrix as rows.
  Expected<std::vector<float>> read_columns(std::int64_t begin, std::int64_t end) const {
    const auto bits = static_cast<std::uint64_t>(ir::dtype_bits(from_.dtype));
    if (bits < 8)
      return unsupported("columns of packed values cannot be read").at_tensor(from_.name);
    const auto count = static_cast<std::size_t>(end - begin);
    const auto inputs = static_cast<std::size_t>(inputs_);
    constexpr std::int64_t kRowsAtOnce = 16;  // written as runs of 16 in each of our rows
    std::vector<float> out(count * inputs), block(count * kRowsAtOnce);
    for (std::int64_t k = 0; k < inputs_; k += kRowsAtOnce) {
      const std::int64_t stop = std::min(inputs_, k + kRowsAtOnce);
      THIMBLE_ASSIGN(const ir::Rows rows, from_.source->read(k, stop));
      const auto depth = static_cast<std::size_t>(stop - k);
      for (std::size_t r = 0; r < depth; ++r) {
        const auto offset =
            (r * static_cast<std::uint64_t>(rows_) + static_cast<std::uint64_t>(begin)) * bits / 8;
        if (offset > rows.dense.size()) {
          return invalid_file("a weight's rows are too short").at_tensor(from_.name);
        }
        THIMBLE_TRY(ir::decode_dense(from_.dtype, rows.dense.subspan(offset),
                                     std::span(block).subspan(r * count, count)));
      }
      for (std::size_t n = 0; n < count; ++n) {
        float* run = out.data() + n * inputs + static_cast<std::size_t>(k);
        for (std::size_t r = 0; r < depth; ++r) run[r] = block[r * count + n];
      }
    }
    return out;
  }

  ir::Weight from_;
  bool columns_ = false;
  std::int64_t rows_ = 0;
  std::int64_t inputs_ = 0;
};

class QuantizedSource : public ir::WeightSource {
 public:
  QuantizedSource(MatrixRows matrix, const ir::Encoding& encoding, SearchOptions options,
                  RowQuantizer quantizer = {})
      : matrix_(std::move(matrix)),
        encoding_(encoding),
        options_(std::move(options)),
        quantizer_(std::move(quantizer)),
        noise_(static_cast<std::size_t>(matrix_.rows())),
        signal_(static_cast<std::size_t>(matrix_.rows())),
        zeros_(static_cast<std::size_t>(matrix_.rows())) {
    for (auto& signal : signal_) signal = -1;  // not known yet
  }

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    const TensorParameters* tensor = nullptr;
    if (encoding_.per_tensor) {
      std::call_once(fitted_, [&] { fit_ = fit_tensor(); });
      if (!*fit_) return fit_->error();
      tensor = &**fit_;
    }
    THIMBLE_ASSIGN(const std::vector<float> values, matrix_.read(begin, end));
    const WeightMatrix weights{values, end - begin, matrix_.inputs()};
    ir::Rows rows;
    RowErrors errors;
    Status status = quantizer_ ? quantize_otherwise(weights, rows, errors)
                               : quantize_rows(weights, encoding_, options_, rows, tensor, &errors);
    if (!status) {
      return std::move(status)
          .error()
          .at_tensor(matrix_.from().name)
          .note("in rows " + std::to_string(begin) + " to " + std::to_string(end));
    }
    for (std::size_t i = 0; i < errors.noise.size(); ++i) {
      const WeightMatrix row = weights.part(static_cast<std::int64_t>(i), 1);
      zeros_[static_cast<std::size_t>(begin) + i] =
          static_cast<std::uint32_t>(count_zero_groups(row, encoding_));
      noise_[static_cast<std::size_t>(begin) + i] = errors.noise[i];
      signal_[static_cast<std::size_t>(begin) + i] = errors.signal[i];
    }
    return rows;
  }

  void release(std::int64_t begin, std::int64_t end) const override { matrix_.release(begin, end); }

  std::optional<double> relative_error() const override {
    double noise = 0, signal = 0;
    for (std::size_t i = 0; i < signal_.size(); ++i) {
      if (signal_[i] < 0) return std::nullopt;
      noise += noise_[i];
      signal += signal_[i];
    }
    return signal == 0 ? 0 : noise / signal;
  }

  std::optional<std::uint64_t> zero_groups() const {
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < signal_.size(); ++i) {
      if (signal_[i] < 0) return std::nullopt;
      count += zeros_[i];
    }
    if (encoding_.per_tensor) return count == zeros_.size() && count > 0 ? 1 : 0;
    return count;
  }

  std::string describe() const override {
    return matrix_.from().source->describe() + " as " + encoding_.to_string();
  }

 private:
  Status quantize_otherwise(const WeightMatrix& weights, ir::Rows& rows, RowErrors& errors) const {
    THIMBLE_TRY(quantizer_(weights, rows));
    const auto inputs = static_cast<std::size_t>(weights.inputs);
    std::vector<float> decoded(weights.values.size());
    THIMBLE_TRY(decode_rows(encoding_, rows, weights.rows, weights.inputs, decoded.data()));
    for (std::size_t at = 0; at < decoded.size(); at += inputs) {
      double noise = 0, signal = 0;
      for (std::size_t i = at; i < at + inputs; ++i) {
        const double w = weights.values[i], e = w - decoded[i];
        noise += e * e;
        signal += w * w;
      }
      errors.noise.push_back(noise);
      errors.signal.push_back(signal);
    }
    return ok();
  }

  Expected<TensorParameters> fit_tensor() const {
    TensorFit fit(encoding_, options_);
    constexpr std::int64_t kRowsAtOnce = 64;
    do {
      for (std::int64_t row = 0; row < matrix_.rows(); row += kRowsAtOnce) {
        const std::int64_t stop = std::min(matrix_.rows(), row + kRowsAtOnce);
        THIMBLE_ASSIGN(const std::vector<float> weights, matrix_.read(row, stop));
        if (Status status = fit.add(weights); !status) {
          return std::move(status).error().at_tensor(matrix_.from().name);
        }
        matrix_.release(row, stop);
      }
    } while (fit.next());
    return fit.parameters();
  }

  MatrixRows matrix_;
  ir::Encoding encoding_;
  SearchOptions options_;
  RowQuantizer quantizer_;
  mutable std::once_flag fitted_;
  mutable std::optional<Expected<TensorParameters>> fit_;
  mutable std::vector<std::atomic<double>> noise_, signal_;  // by row
  mutable std::vector<std::atomic<std::uint32_t>> zeros_;    // groups, by row
};

}  // namespace

Expected<std::shared_ptr<const ir::WeightSource>> quantized_source(const ir::Weight& from,
                                                                   const ir::Encoding& encoding,
                                                                   const SearchOptions& options) {
  THIMBLE_ASSIGN(MatrixRows matrix, MatrixRows::create(from, encoding));
  return std::shared_ptr<const ir::WeightSource>(
      std::make_shared<QuantizedSource>(std::move(matrix), encoding, options));
}

Expected<std::shared_ptr<const ir::WeightSource>> quantized_source(const ir::Weight& from,
                                                                   const ir::Encoding& encoding,
                                                                   RowQuantizer quantizer) {
  THIMBLE_CHECK(!encoding.per_tensor, "rows have scales of their own");
  THIMBLE_ASSIGN(MatrixRows matrix, MatrixRows::create(from, encoding));
  return std::shared_ptr<const ir::WeightSource>(std::make_shared<QuantizedSource>(
      std::move(matrix), encoding, SearchOptions(), std::move(quantizer)));
}

std::optional<std::uint64_t> zero_groups(const ir::WeightSource& source) {
  const auto* quantized = dynamic_cast<const QuantizedSource*>(&source);
  return quantized == nullptr ? std::nullopt : quantized->zero_groups();
}

std::uint64_t count_zero_groups(const WeightMatrix& weights, const ir::Encoding& encoding) {
  if (weights.inputs == 0) return 0;
  const auto size = static_cast<std::size_t>(encoding.group_width(weights.inputs));
  std::uint64_t count = 0;
  for (std::int64_t r = 0; r < weights.rows; ++r) {
    const std::span<const float> row = weights.row(r);
    for (std::size_t at = 0; at < row.size(); at += size) {
      if (row[at] != 0) continue;  // nearly always settled
      std::uint32_t any = 0;       // -0 is 0 as well
      for (const float w : row.subspan(at, std::min(size, row.size() - at)))
        any |= std::bit_cast<std::uint32_t>(w) << 1;
      count += any == 0;
    }
  }
  return count;
}

Expected<std::vector<float>> matrix_rows(const ir::Weight& from, const ir::Encoding& encoding,
                                         std::int64_t begin, std::int64_t end) {
  THIMBLE_ASSIGN(const MatrixRows matrix, MatrixRows::create(from, encoding));
  return matrix.read(begin, end);
}

}  // namespace thimble::quant
