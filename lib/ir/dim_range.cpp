#include "ir/dim_range.h"

#include <algorithm>
#include <charconv>

#include "ir/model.h"
#include "support/checked.h"
#include "support/text.h"

namespace thimble::ir {
namespace {

// Bounds of a size; nothing: none.
struct Interval {
  std::optional<std::int64_t> low, high;
};

std::optional<std::int64_t> sum(std::optional<std::int64_t> a, std::optional<std::int64_t> b) {
  return a && b ? checked_add(*a, *b) : std::nullopt;
}

Interval interval_of(const Dim& dim, const DimRanges& ranges);

Interval interval_of(const Dim::Atom& atom, const DimRanges& ranges) {
  if (atom.kind == Dim::Atom::Kind::kSymbol) {
    const auto range = ranges.find(atom.name);
    if (range == ranges.end()) return {0, std::nullopt};
    return {range->second.low, range->second.high == DimRange().high
                                   ? std::nullopt
                                   : std::optional(range->second.high)};
  }
  const Interval a = interval_of(atom.arguments[0], ranges),
                 b = interval_of(atom.arguments[1], ranges);
  if (atom.kind == Dim::Atom::Kind::kMax) {
    Interval out;
    out.low = a.low && b.low ? std::max(a.low, b.low) : a.low ? a.low : b.low;
    if (a.high && b.high) out.high = std::max(*a.high, *b.high);
    return out;
  }
  // Of sizes, which are not negative, by a known positive number.
  if (!a.low || *a.low < 0 || !b.low || b.low != b.high || *b.low <= 0) return {};
  return {*a.low / *b.low, a.high ? std::optional(*a.high / *b.low) : std::nullopt};
}

// A product of sizes that are not negative, times a number of either sign.
Interval interval_of(const Dim::Term& term, const DimRanges& ranges) {
  std::optional<std::int64_t> low = 1, high = 1;
  for (const Dim::Atom& factor : term.factors) {
    const Interval f = interval_of(factor, ranges);
    if (!f.low || *f.low < 0) return {};
    low = low ? checked_mul(*low, *f.low) : low;
    high = high && f.high ? checked_mul(*high, *f.high) : std::nullopt;
  }
  low = low ? checked_mul(*low, term.coefficient) : low;
  high = high ? checked_mul(*high, term.coefficient) : high;
  return term.coefficient < 0 ? Interval{high, low} : Interval{low, high};
}

Interval interval_of(const Dim& dim, const DimRanges& ranges) {
  Interval out{0, 0};
  for (const Dim::Term& term : dim.terms()) {
    const Interval one = interval_of(term, ranges);
    out = {sum(out.low, one.low), sum(out.high, one.high)};
  }
  return out;
}

Dim settled(const Dim::Atom& atom, const DimRanges& ranges) {
  if (atom.kind == Dim::Atom::Kind::kSymbol) return Dim::symbol(atom.name);
  const Dim a = simplified(atom.arguments[0], ranges), b = simplified(atom.arguments[1], ranges);
  if (atom.kind == Dim::Atom::Kind::kFloorDiv) return Dim::floor_div(a, b);
  const Interval difference = interval_of(a - b, ranges);
  if (difference.low && *difference.low >= 0) return a;
  if (difference.high && *difference.high <= 0) return b;
  return Dim::max(a, b);
}

Error bad_dims(std::string_view text, std::string why) {
  return Error(ErrorCode::kUsage, "cannot read '" + std::string(text) + "': " + std::move(why))
      .fix("write NAME=SIZE or NAME=LEAST..MOST, as in batch=1,seq=1..512");
}

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// The symbols of the main graph's inputs.
std::vector<std::string> symbols_of(const Model& model) {
  std::vector<std::string> out;
  for (const ValueId input : model.graph.inputs()) {
    for (const Dim& dim : model.graph.value(input).shape.value_or(Shape())) {
      for (std::string& symbol : dim.symbols()) out.push_back(std::move(symbol));
    }
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

// Symbols of the sizes by which a state's input and output differ.
std::vector<std::string> growing_symbols(const Model& model, const State& state) {
  const auto input = model.graph.find_value(state.input),
             output = model.graph.find_value(state.output);
  std::vector<std::string> out;
  if (!input || !output) return out;
  const Shape before = model.graph.value(*input).shape.value_or(Shape()),
              after = model.graph.value(*output).shape.value_or(Shape());
  for (std::size_t d = 0; d < std::min(before.size(), after.size()); ++d) {
    if (before[d] == after[d]) continue;
    for (std::string& symbol : before[d].symbols()) out.push_back(std::move(symbol));
  }
  return out;
}

Status check_symbols(const Model& model, const DimRanges& ranges) {
  const std::vector<std::string> known = symbols_of(model);
  const std::string all = join(known, ", ");
  for (const auto& [name, range] : ranges) {
    if (!std::binary_search(known.begin(), known.end(), name)) {
      return Error(ErrorCode::kUsage,
                   "no input has a size '" + name + "'" + did_you_mean(name, known))
          .fix(all.empty() ? "leave it out: all sizes are known" : "the sizes are " + all);
    }
  }
  for (const State& state : model.states) {
    for (const std::string& symbol : growing_symbols(model, state)) {
      if (!ranges.contains(symbol)) continue;
      return Error(ErrorCode::kUsage,
                   "the size '" + symbol + "' of '" + state.input + "' grows from call to call")
          .fix("leave it out");
    }
  }
  return ok();
}

}  // namespace

Expected<DimRanges> parse_dim_ranges(std::string_view text) {
  DimRanges out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, end - at);
    at = end + 1;
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos || equals == 0)
      return bad_dims(part, "there is no NAME=SIZE");
    const std::string name(part.substr(0, equals));
    const std::string_view value = part.substr(equals + 1);
    const std::size_t dots = value.find("..");
    const auto low = number_of(value.substr(0, dots));
    const auto high = dots == std::string_view::npos ? low : number_of(value.substr(dots + 2));
    if (!low || !high) return bad_dims(part, "a size is a whole number");
    if (*low > *high) return bad_dims(part, "the least is more than the most");
    if (!out.emplace(name, DimRange{*low, *high}).second)
      return bad_dims(part, "'" + name + "' is given twice");
  }
  return out;
}

std::string to_string(const DimRanges& ranges) {
  std::string out;
  for (const auto& [name, range] : ranges) {
    out += (out.empty() ? "" : ",") + name + "=" + std::to_string(range.low);
    if (range.high != range.low) out += ".." + std::to_string(range.high);
  }
  return out;
}

Dim simplified(const Dim& dim, const DimRanges& ranges) {
  Dim out;
  for (const Dim::Term& term : dim.terms()) {
    Dim product = term.coefficient;
    for (const Dim::Atom& factor : term.factors) product = product * settled(factor, ranges);
    out = out + product;
  }
  const Interval bounds = interval_of(out, ranges);
  return bounds.low && bounds.low == bounds.high ? Dim(*bounds.low) : out;
}

Status bind_dims(Model& model, const DimRanges& ranges) {
  if (ranges.empty()) return ok();
  THIMBLE_TRY(check_symbols(model, ranges));
  Dim::Binding fixed;
  for (const auto& [name, range] : ranges) {
    if (range.low == range.high) fixed.emplace_back(name, range.low);
  }
  for (const ValueId input : model.graph.inputs()) {
    std::optional<Shape>& shape = model.graph.value(input).shape;
    if (!shape) continue;
    for (Dim& dim : *shape) dim = dim.substitute(fixed);
  }
  model.metadata[std::string(kDimRangesKey)] = to_string(ranges);
  return infer_shapes(model);
}

DimRanges dim_ranges(const std::map<std::string, std::string>& metadata) {
  const auto text = metadata.find(std::string(kDimRangesKey));
  if (text == metadata.end()) return {};
  const auto ranges = parse_dim_ranges(text->second);
  return ranges ? *ranges : DimRanges();
}

}  // namespace thimble::ir
