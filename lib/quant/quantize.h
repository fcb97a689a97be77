#pragma once
// From floats to codes: affine encodings of 2 to 8 bits, tables, and super-blocks of either.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ir/weight.h"
#include "quant/weight_matrix.h"

namespace thimble::quant {

enum class Search : std::uint8_t {
  kAbsmax,  // the scale follows from the extremes of the group
  kMse,     // least (weighted) squared error over a grid of scales, refitted in closed form
};

struct SearchOptions {
  Search search = Search::kMse;
  // What an error in each input costs, [inputs], >= 0; empty: all the same.
  std::vector<float> importance;
};

// `importance` for inputs of such energies, the largest 1; empty where none has any.
std::vector<float> relative_importance(std::span<const double> energies);

// What was lost, row by row: sums of (w - decoded)^2 and of w^2.
struct RowErrors {
  std::vector<double> noise;
  std::vector<double> signal;
};

// Groups of the encoding whose weights are all 0; with one scale for the tensor, rows of zeros.
std::uint64_t count_zero_groups(const WeightMatrix& weights, const ir::Encoding& encoding);

// The scale of a whole tensor (per_tensor encodings).
struct TensorParameters {
  float scale = 0;
  int zero = 0;
  float minimum = 0;
};

// Rows with every stream of the encoding at its size, all 0.
ir::Rows empty_rows(const ir::Encoding& encoding, std::int64_t rows, std::int64_t inputs);

// Quantizes weights to an affine encoding, one with a table (ascending) or a super-block around a
// constant zero. Scales and minima are rounded to the encoding's scale_type before codes are chosen
// against them; codes round half to even. A row's result depends on that row alone, whatever else
// is in the call, and is the same on every machine.
// - A group of zeros gets scale 0; its codes are those of 0.
// - Affine: kMse never does worse than kAbsmax in any group. Symmetric scales may be negative:
//   codes reach one step further below zero than above.
// - kAbsmax: symmetric codes stay within +-(2^(bits-1) - 1).
// - Scales past the largest f16 become that number (weights are cut); those below the least
//   subnormal become it.
// - A weight that isn't finite is an error that names the row.
// With a per-tensor encoding `tensor` must hold the parameters; else it is ignored.
Status quantize_rows(const WeightMatrix& weights, const ir::Encoding& encoding,
                     const SearchOptions& options, ir::Rows& out,
                     const TensorParameters* tensor = nullptr, RowErrors* errors = nullptr);

// Finds the parameters of a per-tensor encoding from blocks of weights: add() every block in order,
// then next() and every block again while it returns true.
class TensorFit {
 public:
  TensorFit(const ir::Encoding& encoding, const SearchOptions& options);
  Status add(std::span<const float> weights);
  bool next();  // another pass over the weights is wanted
  TensorParameters parameters() const { return parameters_; }

 private:
  TensorParameters candidate(double factor) const;

  ir::Encoding encoding_;
  bool search_;
  int pass_ = 0;
  double low_ = 0, high_ = 0;
  std::vector<TensorParameters> candidates_;
  std::vector<double> noise_;
  TensorParameters parameters_;
};

// A weight's source as it would be in another encoding: a pure thunk. read() decodes those rows of
// `from`, quantizes them and returns them; release() passes through; error() is known once every
// row was read. `encoding.axis` names the inputs among the dims: the last axis, or the first of
// two. `from` may be dense or encoded along the same axis.
Expected<std::shared_ptr<const ir::WeightSource>> quantized_source(const ir::Weight& from,
                                                                   const ir::Encoding& encoding,
                                                                   const SearchOptions& options);

// The same with rows quantized by another method, which fills every stream; a row's result must
// depend on that row alone.
using RowQuantizer = std::function<Status(const WeightMatrix& weights, ir::Rows& out)>;
Expected<std::shared_ptr<const ir::WeightSource>> quantized_source(const ir::Weight& from,
                                                                   const ir::Encoding& encoding,
                                                                   RowQuantizer quantizer);

// Of such a source, once every row was read: groups of zeros (a tensor with one scale counts as a
// group). nullopt: not known, or another kind of source.
std::optional<std::uint64_t> zero_groups(const ir::WeightSource& source);

// Rows [begin, end) of the floats that such a source rounds, [end - begin, inputs].
Expected<std::vector<float>> matrix_rows(const ir::Weight& from, const ir::Encoding& encoding,
                                         std::int64_t begin, std::int64_t end);

}  // namespace thimble::quant
