// The text form of a dimension:
//   sum     = ["-"] product {("+" | "-") product}
//   product = factor {"*" factor}
//   factor  = NUMBER | SYMBOL | "(" sum ")" | "floor" "(" sum "/" sum ")" | "max" "(" sum "," sum
//   ")"

#include <charconv>

#include "ir/dim.h"

namespace thimble::ir {
namespace {

constexpr int kMaxDepth = 100;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Expected<Dim> whole() {
    THIMBLE_ASSIGN(Dim dim, sum());
    if (peek() != '\0') return wrong("unexpected '" + std::string(1, peek()) + "'");
    return dim;
  }

 private:
  Error wrong(std::string message) const {
    return invalid_file("size '" + std::string(text_) + "': " + message);
  }
  char peek() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  Expected<Dim> sum() {
    if (++depth_ > kMaxDepth) return wrong("nested too deeply");
    const bool negative = take('-');
    THIMBLE_ASSIGN(Dim total, product());
    if (negative) total = Dim(-1) * total;
    for (;;) {
      const char sign = peek();
      if (sign != '+' && sign != '-') break;
      ++at_;
      THIMBLE_ASSIGN(const Dim next, product());
      total = sign == '+' ? total + next : total - next;
    }
    --depth_;
    return total;
  }

  Expected<Dim> product() {
    THIMBLE_ASSIGN(Dim total, factor());
    while (take('*')) {
      THIMBLE_ASSIGN(const Dim next, factor());
      total = total * next;
    }
    return total;
  }

  Expected<Dim> factor() {
    const char c = peek();
    if (is_digit(c)) return number();
    if (is_letter(c)) return symbol_or_function();
    if (!take('(')) return wrong("a number or a name expected");
    THIMBLE_ASSIGN(const Dim inner, sum());
    if (!take(')')) return wrong("')' expected");
    return inner;
  }

  Expected<Dim> number() {
    std::int64_t value = 0;
    const auto [end, code] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (code != std::errc()) return wrong("number out of range");
    at_ = static_cast<std::size_t>(end - text_.data());
    return Dim(value);
  }

  Expected<Dim> symbol_or_function() {
    const std::size_t begin = at_;
    while (at_ < text_.size() &&
           (is_letter(text_[at_]) || is_digit(text_[at_]) || text_[at_] == '.')) {
      ++at_;
    }
    const std::string_view name = text_.substr(begin, at_ - begin);
    const bool is_function = (name == "floor" || name == "max") && peek() == '(';
    if (!is_function) return Dim::symbol(std::string(name));
    take('(');
    THIMBLE_ASSIGN(const Dim a, sum());
    if (!take(name == "max" ? ',' : '/')) return wrong("two arguments expected");
    THIMBLE_ASSIGN(const Dim b, sum());
    if (!take(')')) return wrong("')' expected");
    return name == "max" ? Dim::max(a, b) : Dim::floor_div(a, b);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Expected<Dim> Dim::parse(std::string_view text) { return Parser(text).whole(); }

Dim Dim::parse_or_check(std::string_view text) {
  Expected<Dim> dim = parse(text);
  THIMBLE_CHECK(dim.has_value(), "the literal '" + std::string(text) + "' is no dimension");
  return *std::move(dim);
}

}  // namespace thimble::ir
