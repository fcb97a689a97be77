#include "tokenizer/pattern.h"

#include <algorithm>
#include <atomic>

namespace thimble::tokenizer {
namespace {

std::atomic<PatternCompiler> compiler_of_patterns = nullptr;

class LiteralMatcher : public PatternMatcher {
 public:
  explicit LiteralMatcher(std::string text) : text_(std::move(text)) {}
  std::vector<std::pair<std::size_t, std::size_t>> find_all(std::string_view text) const override {
    std::vector<std::pair<std::size_t, std::size_t>> out;
    for (std::size_t at = text.find(text_); at != std::string_view::npos;
         at = text.find(text_, at + text_.size()))
      out.emplace_back(at, at + text_.size());
    return out;
  }

 private:
  std::string text_;
};

struct Part {
  std::size_t begin, end;
  bool match;
};

// The piece as matches and what lies between them, in order and without a gap.
std::vector<Part> parts_of(std::string_view piece, const PatternMatcher& matcher, bool invert) {
  std::vector<Part> parts;
  std::size_t at = 0;
  for (const auto& [begin, end] : matcher.find_all(piece)) {
    if (begin > at) parts.push_back({at, begin, invert});
    parts.push_back({begin, end, !invert});
    at = end;
  }
  if (at < piece.size()) parts.push_back({at, piece.size(), invert});
  return parts;
}

// A match is joined to the part before it, unless that is a match itself.
std::vector<Part> merged_with_previous(const std::vector<Part>& parts) {
  std::vector<Part> out;
  bool previous = false;
  for (const Part& part : parts) {
    if (part.match && !previous && !out.empty())
      out.back().end = part.end;
    else
      out.push_back(part);
    previous = part.match;
  }
  return out;
}

std::vector<Part> merged_with_next(const std::vector<Part>& parts) {
  std::vector<Part> out;
  bool previous = false;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (part->match && !previous && !out.empty())
      out.back().begin = part->begin;
    else
      out.push_back(*part);
    previous = part->match;
  }
  std::reverse(out.begin(), out.end());
  return out;
}

std::vector<Part> contiguous(const std::vector<Part>& parts) {
  std::vector<Part> out;
  for (const Part& part : parts) {
    if (!out.empty() && out.back().match == part.match)
      out.back().end = part.end;
    else
      out.push_back(part);
  }
  return out;
}

Expected<std::unique_ptr<PatternMatcher>> compiled(const std::string& pattern, const char* use) {
  const PatternCompiler compiler = compiler_of_patterns;
  if (compiler == nullptr)
    return unsupported(std::string("the tokenizer ") + use + " the regular expression " + pattern)
        .fix("only the thimble program can match it; tokenize there, and give the device ids");
  return compiler(pattern);
}

}  // namespace

void set_pattern_compiler(PatternCompiler compiler) { compiler_of_patterns = compiler; }

Expected<std::unique_ptr<PatternMatcher>> matcher_of(const SplitStep& step) {
  std::string pattern = step.a.substr(2);
  if (step.what == Split::kLiteral)
    return std::unique_ptr<PatternMatcher>(std::make_unique<LiteralMatcher>(std::move(pattern)));
  return compiled(pattern, "cuts text by");
}

Expected<std::unique_ptr<PatternMatcher>> matcher_of(const NormalizeStep& step) {
  return compiled(step.a, "replaces what matches");
}

SplitStep pattern_step(Split what, Behavior behavior, bool invert, std::string_view pattern) {
  std::string text = {static_cast<char>('0' + static_cast<int>(behavior)), invert ? '1' : '0'};
  return {what, text.append(pattern)};
}

bool is_pattern_step(const SplitStep& step) {
  return step.a.size() > 2 && step.a[0] >= '0' &&
         step.a[0] <= '0' + static_cast<int>(Behavior::kContiguous) &&
         (step.a[1] == '0' || step.a[1] == '1');
}

std::vector<std::string> split_at_matches(std::string_view piece, const SplitStep& step,
                                          const PatternMatcher& matcher) {
  std::vector<Part> parts = parts_of(piece, matcher, step.a[1] == '1');
  switch (static_cast<Behavior>(step.a[0] - '0')) {
    case Behavior::kIsolated:
      break;
    case Behavior::kRemoved:
      std::erase_if(parts, [](const Part& part) { return part.match; });
      break;
    case Behavior::kMergedWithPrevious:
      parts = merged_with_previous(parts);
      break;
    case Behavior::kMergedWithNext:
      parts = merged_with_next(parts);
      break;
    case Behavior::kContiguous:
      parts = contiguous(parts);
      break;
  }
  std::vector<std::string> out;
  for (const Part& part : parts) {
    if (part.end > part.begin) out.emplace_back(piece.substr(part.begin, part.end - part.begin));
  }
  return out;
}

}  // namespace thimble::tokenizer
