#include "ir/text_lexer.h"

#include <charconv>
#include <limits>

#include "ir/text_form.h"

namespace thimble::ir {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

}  // namespace

Error Lexer::wrong(const Token& at, std::string message) const {
  return invalid_file(std::move(message)).in(file_).at_line(at.line, at.column);
}

Error Lexer::wrong_here(std::string message) const {
  return invalid_file(std::move(message)).in(file_).at_line(line_, column_);
}

void Lexer::advance() {
  if (text_[at_] == '\n') {
    ++line_;
    column_ = 1;
  } else {
    ++column_;
  }
  ++at_;
}

// Up to `closing` (which is taken) or, for '\n', the end of the line (which is left).
Expected<std::string> Lexer::unescape(char closing) {
  std::string out;
  while (at_ < text_.size() && peek() != closing) {
    if (peek() == '\n') return wrong_here("a string must end on its line");
    if (peek() != '\\') {
      out += peek();
      advance();
      continue;
    }
    unsigned byte = 0;
    const std::string_view code = text_.substr(at_, 4);
    const bool good =
        code.size() == 4 && code[1] == 'x' &&
        std::from_chars(code.data() + 2, code.data() + 4, byte, 16).ptr == code.data() + 4;
    if (!good) return wrong_here("an escape must be \\xNN");
    out += static_cast<char>(byte);
    for (int i = 0; i < 4; ++i) advance();
  }
  if (closing == '\n') return out;
  if (at_ == text_.size()) return wrong_here("a string must end on its line");
  advance();
  return out;
}

Expected<std::string> Lexer::name() {
  if (peek() == '"') {
    advance();
    return unescape('"');
  }
  std::string out;
  while (is_bare(peek())) {
    out += peek();
    advance();
  }
  if (out.empty()) return wrong_here("a name expected");
  return out;
}

Expected<Token> Lexer::number(Token token) {
  std::size_t length = peek() == '-' ? 1 : 0;
  const auto more = [&](char c, char before) {
    return is_digit(c) || is_letter(c) || c == '.' || ((c == '-' || c == '+') && before == 'e');
  };
  while (more(peek(length), length > 0 ? peek(length - 1) : '\0')) ++length;
  const std::string_view digits = text_.substr(at_, length);
  const char* end = digits.data() + digits.size();
  if (digits.find_first_of(".einf") == std::string_view::npos) {
    token.kind = Token::Kind::kInteger;
    const auto [stop, code] = std::from_chars(digits.data(), end, token.integer);
    if (code != std::errc() || stop != end)
      return wrong_here("'" + std::string(digits) + "' is no number");
  } else {
    token.kind = Token::Kind::kReal;
    const auto [stop, code] = std::from_chars(digits.data(), end, token.real);
    if (code != std::errc() || stop != end)
      return wrong_here("'" + std::string(digits) + "' is no number");
  }
  token.text = std::string(digits);
  for (std::size_t i = 0; i < length; ++i) advance();
  return token;
}

std::string_view Lexer::until(std::string_view stops) {
  const std::size_t begin = at_;
  while (at_ < text_.size() && peek() != '\n' && stops.find(peek()) == std::string_view::npos)
    advance();
  return trimmed(text_.substr(begin, at_ - begin));
}

Expected<Token> Lexer::next() {
  while (peek() == ' ' || peek() == '\t' || peek() == '\r') advance();
  Token token;
  token.line = line_;
  token.column = column_;
  const char c = peek();
  if (at_ == text_.size()) return token;
  if (c == '\n') {
    advance();
    token.kind = Token::Kind::kNewline;
  } else if (c == '/' && peek(1) == '/') {
    token.kind = Token::Kind::kComment;
    advance();
    advance();
    while (peek() == ' ') advance();
    THIMBLE_ASSIGN(token.text, unescape('\n'));
  } else if (c == '%' || c == '@') {
    token.kind = c == '%' ? Token::Kind::kValue : Token::Kind::kWeight;
    advance();
    THIMBLE_ASSIGN(token.text, name());
  } else if (c == '"') {
    token.kind = Token::Kind::kString;
    THIMBLE_ASSIGN(token.text, name());
  } else if (c == '#') {
    advance();
    THIMBLE_ASSIGN(token, number(token));
    token.kind = Token::Kind::kBody;
  } else if (is_digit(c) || (c == '-' && (is_digit(peek(1)) || is_letter(peek(1))))) {
    return number(token);
  } else if (is_letter(c)) {
    token.kind = Token::Kind::kWord;
    while (is_bare(peek()) || (peek() == ':' && peek(1) == ':') ||
           (peek() == ':' && !token.text.empty() && token.text.back() == ':')) {
      token.text += peek();
      advance();
    }
    if (token.text == "inf" || token.text == "nan") {
      token.kind = Token::Kind::kReal;
      token.real = token.text == "inf" ? std::numeric_limits<float>::infinity()
                                       : std::numeric_limits<float>::quiet_NaN();
    }
  } else {
    token.kind = Token::Kind::kPunctuation;
    token.text = std::string(1, c);
    advance();
  }
  return token;
}

}  // namespace thimble::ir
