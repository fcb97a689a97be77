#include "ir/dim.h"

#include <algorithm>

#include "support/checked.h"

namespace thimble::ir {
namespace {

using Term = Dim::Term;
using Atom = Dim::Atom;

// What a sum or product becomes that overflows or that grows past these limits (hostile graphs
// could make it grow without end). It can be neither written nor bound, so evaluating it always
// fails.
constexpr std::string_view kUnrepresentable = "!unrepresentable";
constexpr std::size_t kMaxTerms = 64;
constexpr std::size_t kMaxFactors = 16;
constexpr std::size_t kMaxTextBytes = 4096;

Dim unrepresentable() { return Dim::symbol(std::string(kUnrepresentable)); }

bool is_unrepresentable(const Dim& dim) {
  return dim.terms().size() == 1 && dim.terms()[0].factors.size() == 1 &&
         dim.terms()[0].factors[0].name == kUnrepresentable;
}

std::string in_parentheses(const Dim& dim) {
  return dim.terms().size() > 1 ? "(" + dim.to_string() + ")" : dim.to_string();
}

std::string text_of(const Atom& atom) {
  switch (atom.kind) {
    case Atom::Kind::kSymbol:
      return atom.name;
    case Atom::Kind::kFloorDiv:
      return "floor(" + in_parentheses(atom.arguments[0]) + " / " +
             in_parentheses(atom.arguments[1]) + ")";
    case Atom::Kind::kMax:
      return "max(" + atom.arguments[0].to_string() + ", " + atom.arguments[1].to_string() + ")";
  }
  return {};
}

std::string text_of(const std::vector<Atom>& factors) {
  std::string out;
  for (const Atom& factor : factors) out += (out.empty() ? "" : "*") + text_of(factor);
  return out;
}

bool before(const std::vector<Atom>& a, const std::vector<Atom>& b) {
  if (a.empty() || b.empty()) return !a.empty() && b.empty();  // the constant comes last
  return text_of(a) < text_of(b);
}

// Adds a term to a sorted sum; false on overflow.
bool add_term(std::vector<Term>& terms, const Term& term) {
  const auto place = std::find_if(terms.begin(), terms.end(),
                                  [&](const Term& t) { return !before(t.factors, term.factors); });
  if (place == terms.end() || place->factors != term.factors) {
    terms.insert(place, term);
    return terms.size() <= kMaxTerms;
  }
  const auto sum = checked_add(place->coefficient, term.coefficient);
  if (!sum) return false;
  place->coefficient = *sum;
  if (*sum == 0) terms.erase(place);
  return true;
}

std::optional<Term> multiply(const Term& a, const Term& b) {
  const auto coefficient = checked_mul(a.coefficient, b.coefficient);
  if (!coefficient || a.factors.size() + b.factors.size() > kMaxFactors) return std::nullopt;
  Term out{*coefficient, a.factors};
  out.factors.insert(out.factors.end(), b.factors.begin(), b.factors.end());
  std::sort(out.factors.begin(), out.factors.end(),
            [](const Atom& x, const Atom& y) { return text_of(x) < text_of(y); });
  return out;
}

std::int64_t floor_quotient(std::int64_t a, std::int64_t b) {
  return a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
}

// a / b where b's factors are among a's and the coefficients divide.
std::optional<Term> divide(const Term& a, const Term& b) {
  if (b.coefficient == -1 || a.coefficient % b.coefficient != 0) return std::nullopt;
  Term out{a.coefficient / b.coefficient, a.factors};
  for (const Atom& factor : b.factors) {
    const auto place = std::find(out.factors.begin(), out.factors.end(), factor);
    if (place == out.factors.end()) return std::nullopt;
    out.factors.erase(place);
  }
  return out;
}

void collect_symbols(const Dim& dim, std::vector<std::string>& out) {
  for (const Term& term : dim.terms()) {
    for (const Atom& factor : term.factors) {
      if (factor.kind == Atom::Kind::kSymbol) out.push_back(factor.name);
      for (const Dim& argument : factor.arguments) collect_symbols(argument, out);
    }
  }
}

Expected<std::int64_t> evaluate_atom(const Atom& atom, const Dim::Binding& binding) {
  if (atom.kind == Atom::Kind::kSymbol) {
    if (atom.name == kUnrepresentable) {
      return unsupported("a size of the graph overflows or is too complex to write down");
    }
    for (const auto& [name, value] : binding) {
      if (name == atom.name) return value;
    }
    return invalid_argument("the size '" + atom.name + "' has no value");
  }
  THIMBLE_ASSIGN(const std::int64_t a, atom.arguments[0].evaluate(binding));
  THIMBLE_ASSIGN(const std::int64_t b, atom.arguments[1].evaluate(binding));
  if (atom.kind == Atom::Kind::kMax) return std::max(a, b);
  if (b == 0 || b == -1)
    return invalid_argument("the size " + text_of(atom) + " divides by " + std::to_string(b));
  return floor_quotient(a, b);
}

}  // namespace

Dim::Dim(std::int64_t constant) {
  if (constant != 0) terms_.push_back({constant, {}});
}

Dim Dim::symbol(std::string name) {
  Dim dim;
  dim.terms_.push_back({1, {Atom{Atom::Kind::kSymbol, std::move(name), {}}}});
  return dim;
}

bool Dim::is_constant() const {
  return terms_.empty() || (terms_.size() == 1 && terms_[0].factors.empty());
}

std::optional<std::int64_t> Dim::constant() const {
  if (!is_constant()) return std::nullopt;
  return terms_.empty() ? 0 : terms_[0].coefficient;
}

std::vector<std::string> Dim::symbols() const {
  std::vector<std::string> out;
  collect_symbols(*this, out);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string Dim::to_string() const {
  if (terms_.empty()) return "0";
  std::string out;
  for (const Term& term : terms_) {
    const bool negative = term.coefficient < 0;
    std::string number = std::to_string(term.coefficient);
    if (negative) number.erase(0, 1);
    out += out.empty() ? (negative ? "-" : "") : (negative ? " - " : " + ");
    if (term.factors.empty()) {
      out += number;
    } else {
      out += (number == "1" ? "" : number + "*") + text_of(term.factors);
    }
  }
  return out;
}

Dim operator+(const Dim& a, const Dim& b) {
  if (is_unrepresentable(a) || is_unrepresentable(b)) return unrepresentable();
  Dim out = a;
  for (const Term& term : b.terms_) {
    if (!add_term(out.terms_, term)) return unrepresentable();
  }
  return out;
}

Dim operator-(const Dim& a, const Dim& b) { return a + b * Dim(-1); }

Dim operator*(const Dim& a, const Dim& b) {
  if (is_unrepresentable(a) || is_unrepresentable(b)) return unrepresentable();
  Dim out;
  for (const Term& x : a.terms_) {
    for (const Term& y : b.terms_) {
      const std::optional<Term> product = multiply(x, y);
      if (!product || !add_term(out.terms_, *product)) return unrepresentable();
    }
  }
  return out;
}

Dim Dim::floor_div(const Dim& a, const Dim& b) {
  if (is_unrepresentable(a) || is_unrepresentable(b)) return unrepresentable();
  if (a == b) return 1;
  // floor((q b + r) / b) = q + floor(r / b): terms that divide come out.
  Dim quotient, rest = a;
  if (b.terms_.size() == 1) {
    rest = 0;
    for (const Term& term : a.terms_) {
      const std::optional<Term> divided = divide(term, b.terms_[0]);
      if (!add_term(divided ? quotient.terms_ : rest.terms_, divided ? *divided : term)) {
        return unrepresentable();
      }
    }
  }
  if (rest.terms_.empty() && !b.terms_.empty()) return quotient;
  const auto x = rest.constant(), y = b.constant();
  if (x && y && *y != 0 && *y != -1) return quotient + Dim(floor_quotient(*x, *y));
  Dim opaque;
  opaque.terms_.push_back({1, {Atom{Atom::Kind::kFloorDiv, {}, {rest, b}}}});
  return opaque.to_string().size() > kMaxTextBytes ? unrepresentable() : quotient + opaque;
}

namespace {

constexpr int kMaxSettled = 4;

int count_max(const Dim& dim) {
  int count = 0;
  for (const Term& term : dim.terms()) {
    for (const Atom& factor : term.factors) {
      count += factor.kind == Atom::Kind::kMax ? 1 : 0;
      for (const Dim& argument : factor.arguments) count += count_max(argument);
    }
  }
  return count;
}

// Is it zero or less whatever its symbols are, which are sizes and so never negative? Each max may
// stand for either of its arguments: it is no less than both.
bool never_positive(const Dim& dim, int depth = 3) {
  const auto& terms = dim.terms();
  const bool plain = std::all_of(terms.begin(), terms.end(), [](const Term& term) {
    return term.coefficient < 0 &&
           std::all_of(term.factors.begin(), term.factors.end(), [](const Atom& factor) {
             return factor.kind == Atom::Kind::kSymbol && factor.name != kUnrepresentable;
           });
  });
  if (plain) return true;
  if (count_max(dim) > kMaxSettled) return false;  // what follows looks at each of both sides
  for (const Term& term : terms) {
    const bool lone_max = term.factors.size() == 1 && term.factors[0].kind == Atom::Kind::kMax;
    if (!lone_max || term.coefficient >= 0 || depth == 0) continue;
    const Dim with = term.coefficient,
              largest = Dim::max(term.factors[0].arguments[0], term.factors[0].arguments[1]);
    for (const Dim& argument : term.factors[0].arguments) {
      if (never_positive(dim - with * largest + with * argument, depth - 1)) return true;
    }
  }
  return false;
}

}  // namespace

Dim Dim::max(const Dim& a, const Dim& b) {
  if (is_unrepresentable(a) || is_unrepresentable(b)) return unrepresentable();
  if (never_positive(b - a)) return a;
  if (never_positive(a - b)) return b;
  const bool in_order = a.to_string() <= b.to_string();
  Dim opaque;
  opaque.terms_.push_back({1, {Atom{Atom::Kind::kMax, {}, {in_order ? a : b, in_order ? b : a}}}});
  return opaque.to_string().size() > kMaxTextBytes ? unrepresentable() : opaque;
}

Expected<std::int64_t> Dim::evaluate(const Binding& binding) const {
  std::int64_t sum = 0;
  for (const Term& term : terms_) {
    std::optional<std::int64_t> product = term.coefficient;
    for (const Atom& factor : term.factors) {
      THIMBLE_ASSIGN(const std::int64_t value, evaluate_atom(factor, binding));
      product = checked_mul(*product, value);
      if (!product) break;
    }
    if (product) product = checked_add(sum, *product);
    if (!product) return invalid_argument("the size " + to_string() + " overflows");
    sum = *product;
  }
  return sum;
}

Dim Dim::substitute(const Binding& binding) const {
  Dim out;
  for (const Term& term : terms_) {
    Dim product = term.coefficient;
    for (const Atom& factor : term.factors) {
      Dim value = symbol(factor.name);
      if (factor.kind == Atom::Kind::kSymbol) {
        const auto bound = std::find_if(binding.begin(), binding.end(), [&](const auto& entry) {
          return entry.first == factor.name;
        });
        if (bound != binding.end()) value = bound->second;
      } else {
        const Dim a = factor.arguments[0].substitute(binding);
        const Dim b = factor.arguments[1].substitute(binding);
        value = factor.kind == Atom::Kind::kMax ? max(a, b) : floor_div(a, b);
      }
      product = product * value;
    }
    out = out + product;
  }
  return out;
}

std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (const Dim& dim : shape) out += (out.size() > 1 ? ", " : "") + dim.to_string();
  return out + "]";
}

}  // namespace thimble::ir
