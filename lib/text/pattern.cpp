#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string_view>

namespace thimble::text {
namespace {

constexpr std::size_t kMaxPattern = 1 << 16;
constexpr std::uint32_t kMatchLimit = 10'000'000;
constexpr std::uint32_t kHeapLimit = 64 << 10;  // KiB

// White space and word characters as Oniguruma has them (Unicode 14), as members of a class.
constexpr std::string_view kSpaces =
    R"(\x{9}-\x{d} \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kWords = R"(\p{L}\p{M}\p{Nd}\p{Pc})";

Error refused(std::string_view what, const std::string& pattern) {
  return unsupported("'" + std::string(what) + "' in the tokenizer's pattern " + pattern +
                     " is not supported");
}

// From Oniguruma's syntax to PCRE2's.
class Rewriter {
 public:
  explicit Rewriter(const std::string& pattern) : pattern_(pattern) {}

  Expected<std::string> rewrite() {
    for (; at_ < pattern_.size(); ++at_) {
      const char c = pattern_[at_];
      if (c == '\\') {
        THIMBLE_TRY(escape());
      } else if (c == '[' && in_class_) {
        return refused("[ inside [ ]", pattern_);
      } else if (c == '&' && in_class_ && next() == '&') {
        return refused("&&", pattern_);
      } else {
        // In Oniguruma {1,3}+ repeats the repetition, in PCRE2 it is possessive.
        if (c == '}' && next() == '+' && !in_class_) return refused("}+", pattern_);
        out_ += c;
        if (c == '[') open_class();
        if (c == ']') in_class_ = false;
      }
    }
    return std::move(out_);
  }

 private:
  char next() const { return at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0'; }

  // A ] right after [ or [^ is a member.
  void open_class() {
    in_class_ = true;
    if (next() == '^') out_ += pattern_[++at_];
    if (next() == ']') out_ += {'\\', pattern_[++at_]};
  }

  void members(std::string_view set, bool negated) {
    if (in_class_) {
      out_ += set;
    } else {
      out_ += negated ? "[^" : "[";
      out_ += set;
      out_ += ']';
    }
  }

  Status escape() {
    const char c = next();
    ++at_;
    if (c == 's') {
      members(kSpaces, false);
    } else if (c == 'w') {
      members(kWords, false);
    } else if (c == 'S' && in_class_) {
      out_ += "\\S\\x{180e}";  // white space in PCRE2 alone
    } else if (c == 'S' || (c == 'W' && !in_class_)) {
      members(c == 'S' ? kSpaces : kWords, true);
    } else if (std::string_view("pPdDnrtfxzA").find(c) != std::string_view::npos || is_mark(c)) {
      out_ += {'\\', c};
      if (next() == '{' && std::string_view("pPx").find(c) != std::string_view::npos) {
        while (at_ + 1 < pattern_.size() && pattern_[at_] != '}') out_ += pattern_[++at_];
      }
    } else {
      return refused(std::string("\\") + c, pattern_);
    }
    return ok();
  }

  static bool is_mark(char c) {
    return c > ' ' && c < 127 && !(c >= '0' && c <= '9') && !((c | 32) >= 'a' && (c | 32) <= 'z');
  }

  const std::string& pattern_;
  std::string out_;
  std::size_t at_ = 0;
  bool in_class_ = false;
};

class Matcher : public tokenizer::PatternMatcher {
 public:
  explicit Matcher(pcre2_code* code) : code_(code), context_(pcre2_match_context_create(nullptr)) {
    pcre2_set_match_limit(context_, kMatchLimit);
    pcre2_set_heap_limit(context_, kHeapLimit);
    pcre2_jit_compile(code_, PCRE2_JIT_COMPLETE);  // where it can't, matching interprets
  }
  ~Matcher() override {
    pcre2_match_context_free(context_);
    pcre2_code_free(code_);
  }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;

  // What lies past a match that hits the limits stays unmatched. An empty match where one has just
  // ended is none.
  std::vector<std::pair<std::size_t, std::size_t>> find_all(std::string_view text) const override {
    std::vector<std::pair<std::size_t, std::size_t>> out;
    pcre2_match_data* data = pcre2_match_data_create_from_pattern(code_, nullptr);
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    for (std::size_t from = 0; from <= text.size();) {
      if (pcre2_match(code_, subject, text.size(), from, 0, data, context_) <= 0) break;
      const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data);
      if (ends[0] > ends[1] || ends[0] < from) break;  // \K inside a lookaround
      const bool empty = ends[0] == ends[1];
      if (!empty || out.empty() || out.back().second < ends[0]) out.emplace_back(ends[0], ends[1]);
      from = ends[1];
      if (!empty) continue;
      do ++from;  // an empty match: on to the next character
      while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xc0) == 0x80);
    }
    pcre2_match_data_free(data);
    return out;
  }

 private:
  pcre2_code* code_;
  pcre2_match_context* context_;
};

}  // namespace

Expected<std::unique_ptr<tokenizer::PatternMatcher>> compile_pattern(const std::string& pattern) {
  if (pattern.empty() || pattern.size() > kMaxPattern)
    return invalid_file("a tokenizer's pattern has between 1 and 65,536 bytes");
  THIMBLE_ASSIGN(const std::string rewritten, Rewriter(pattern).rewrite());
  int code = 0;
  PCRE2_SIZE offset = 0;
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context, 64);
  pcre2_code* compiled = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(rewritten.data()), rewritten.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C,
      &code, &offset, context);
  pcre2_compile_context_free(context);
  if (compiled == nullptr) {
    PCRE2_UCHAR message[128] = {};
    pcre2_get_error_message(code, message, sizeof message);
    return invalid_file("the tokenizer's pattern " + pattern +
                        " is wrong: " + reinterpret_cast<const char*>(message));
  }
  return std::unique_ptr<tokenizer::PatternMatcher>(std::make_unique<Matcher>(compiled));
}

void use_patterns() { tokenizer::set_pattern_compiler(compile_pattern); }

}  // namespace thimble::text
