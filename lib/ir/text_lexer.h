#pragma once
// Characters to tokens, for text_parser.h.

#include <cstdint>
#include <string>
#include <string_view>

#include "support/expected.h"

namespace thimble::ir {

struct Token {
  enum class Kind : std::uint8_t {
    kEnd,
    kWord,     // MatMul, f32, floor, -, also domain::Op
    kValue,    // %name
    kWeight,   // @name
    kString,   // "text"
    kInteger,  // 12, -3
    kReal,     // 1.5, -inf
    kBody,     // #0
    kPunctuation,
    kComment,  // the rest of a line after `//`
    kNewline,
  };
  Kind kind = Kind::kEnd;
  std::string text;  // unescaped
  std::int64_t integer = 0;
  float real = 0;
  int line = 1;
  int column = 1;

  bool is(char c) const { return kind == Kind::kPunctuation && text.size() == 1 && text[0] == c; }
  bool is_word(std::string_view word) const { return kind == Kind::kWord && text == word; }
};

class Lexer {
 public:
  Lexer(std::string_view text, std::string_view file) : text_(text), file_(file) {}
  Expected<Token> next();
  // The characters up to the first of `stops` or the end of the line, trimmed.
  std::string_view until(std::string_view stops);
  Error wrong(const Token& at, std::string message) const;

 private:
  Error wrong_here(std::string message) const;
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  void advance();
  Expected<std::string> unescape(char closing);
  Expected<std::string> name();
  Expected<Token> number(Token token);

  std::string_view text_;
  std::string file_;
  std::size_t at_ = 0;
  int line_ = 1;
  int column_ = 1;
};

}  // namespace thimble::ir
