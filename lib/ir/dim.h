#pragma once
// A dimension: a constant, a symbol such as `seq`, or a sum of products of them.
//
// Kept in a normal form (terms sorted, like terms added), so that two dimensions that are equal as
// polynomials compare equal and print alike: "128", "batch", "2*seq + past", "floor(width / 2)".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/expected.h"

namespace thimble::ir {

class Dim {
 public:
  Dim() = default;                                    // 0
  Dim(std::int64_t constant);                         // NOLINT: a constant is a dimension
  static Dim symbol(std::string name);                // [A-Za-z_][A-Za-z0-9_.]*
  static Dim parse_or_check(std::string_view text);   // for literals of ours
  static Expected<Dim> parse(std::string_view text);  // the inverse of to_string

  bool is_constant() const;
  std::optional<std::int64_t> constant() const;
  std::vector<std::string> symbols() const;  // sorted, each once
  std::string to_string() const;

  friend Dim operator+(const Dim& a, const Dim& b);
  friend Dim operator-(const Dim& a, const Dim& b);
  friend Dim operator*(const Dim& a, const Dim& b);
  static Dim floor_div(const Dim& a,
                       const Dim& b);  // exact when the terms divide, else an opaque atom
  static Dim max(const Dim& a, const Dim& b);
  bool operator==(const Dim& other) const = default;

  // The value under a binding of symbols; an error names the symbol that is unbound, or the
  // overflow.
  using Binding = std::vector<std::pair<std::string, std::int64_t>>;
  Expected<std::int64_t> evaluate(const Binding& binding) const;
  Dim substitute(const Binding& binding) const;

  // Arithmetic that overflows int64, or grows past what any real model needs, gives a dimension
  // that cannot be evaluated: the error comes then.

  // One factor of a term: a symbol, or an opaque function (floor_div, max) of two dimensions.
  struct Atom {
    enum class Kind : std::uint8_t { kSymbol, kFloorDiv, kMax };
    Kind kind = Kind::kSymbol;
    std::string name;            // kSymbol
    std::vector<Dim> arguments;  // two, otherwise
    bool operator==(const Atom&) const = default;
  };
  struct Term {
    std::int64_t coefficient = 0;  // never 0
    std::vector<Atom> factors;     // sorted by text; empty for the constant term
    bool operator==(const Term&) const = default;
  };
  const std::vector<Term>& terms() const { return terms_; }

 private:
  std::vector<Term> terms_;  // sorted by the factors' text; the constant term comes last
};

using Shape = std::vector<Dim>;
std::string to_string(const Shape& shape);  // "[batch, seq, 576]"

}  // namespace thimble::ir
