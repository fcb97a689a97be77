#include "data/text.h"

#include <algorithm>

#include "support/mapped_file.h"

namespace thimble::data {
namespace {

constexpr std::uint64_t kMaxTextBytes = 1'000'000'000;

std::vector<Window> cut(const std::vector<std::int32_t>& tokens,
                        const tokenizer::Tokenizer& tokenizer, std::int64_t context) {
  std::vector<Window> windows;
  const auto count = static_cast<std::int64_t>(tokens.size()) / context;
  for (std::int64_t w = 0; w < count; ++w) {
    Window window;
    window.tokens.assign(tokens.begin() + w * context, tokens.begin() + (w + 1) * context);
    if (tokenizer.adds_bos() && tokenizer.bos()) window.tokens.front() = *tokenizer.bos();
    window.first_scored = context / 2 + 1;
    windows.push_back(std::move(window));
  }
  return windows;
}

std::vector<Window> slide(const std::vector<std::int32_t>& tokens, std::int64_t context,
                          std::int64_t stride) {
  std::vector<Window> windows;
  const auto count = static_cast<std::int64_t>(tokens.size());
  std::int64_t scored = 1;  // the first token is predicted from nothing
  for (std::int64_t begin = 0; begin < count && scored < count; begin += stride) {
    const std::int64_t end = std::min(begin + context, count);
    if (scored >= end) continue;
    Window window;
    window.tokens.assign(tokens.begin() + begin, tokens.begin() + end);
    window.first_scored = std::max<std::int64_t>(scored - begin, 1);
    windows.push_back(std::move(window));
    scored = end;
  }
  return windows;
}

}  // namespace

Expected<std::string> read_text(const std::string& path) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  if (file->size() > kMaxTextBytes) return invalid_argument("a text has at most 1 GB").in(path);
  return std::string(file->text());
}

Expected<std::vector<Window>> make_windows(std::string_view text,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const WindowOptions& options) {
  return make_windows(tokenizer.encode(text), tokenizer, options);
}

Expected<std::vector<Window>> make_windows(const std::vector<std::int32_t>& tokens,
                                           const tokenizer::Tokenizer& tokenizer,
                                           const WindowOptions& options) {
  if (options.stride > options.context) {
    return invalid_argument("a stride of " + std::to_string(options.stride) +
                            " would leave out tokens between windows of " +
                            std::to_string(options.context))
        .fix("give a smaller stride or a larger context");
  }
  auto windows = options.stride > 0 ? slide(tokens, options.context, options.stride)
                                    : cut(tokens, tokenizer, options.context);
  if (windows.empty()) {
    return invalid_argument("the text has " + std::to_string(tokens.size()) +
                            " tokens, fewer than one window of " + std::to_string(options.context))
        .fix("use a longer text or a smaller context");
  }
  if (options.max_windows > 0 && static_cast<std::int64_t>(windows.size()) > options.max_windows) {
    windows.resize(static_cast<std::size_t>(options.max_windows));
  }
  return windows;
}

}  // namespace thimble::data
