#pragma once
// What a user says of a graph's symbolic sizes: `batch=1,seq=1..512`. A number replaces the symbol;
// a range decides which of two sizes is the larger, where it can, and is checked when the model
// runs.

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>

#include "ir/dim.h"

namespace thimble::ir {

struct Model;

struct DimRange {
  std::int64_t low = 0;
  std::int64_t high = std::numeric_limits<std::int64_t>::max();
  bool operator==(const DimRange&) const = default;
};
using DimRanges = std::map<std::string, DimRange>;

// "NAME=N" and "NAME=LOW..HIGH" with commas between; an error says what doesn't read as such.
Expected<DimRanges> parse_dim_ranges(std::string_view text);
std::string to_string(const DimRanges& ranges);

// The same size with every max and floor settled that the ranges settle. Symbols without a range
// are 0 or more.
Dim simplified(const Dim& dim, const DimRanges& ranges);

// Binds symbols of the main graph's inputs and infers every shape again. The ranges are kept in the
// model's metadata, where infer_shapes and dim_ranges find them. Errors: a symbol that no input
// has, or one of a state, which grows by itself.
Status bind_dims(Model& model, const DimRanges& ranges);
inline constexpr std::string_view kDimRangesKey = "dims";  // of Model::metadata
DimRanges dim_ranges(const std::map<std::string, std::string>& metadata);

}  // namespace thimble::ir
