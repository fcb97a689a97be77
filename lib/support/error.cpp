#include "support/error.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "support/text.h"

namespace thimble {
namespace {

// Text that came from a file must neither drive the terminal nor fill it.
std::string printable(std::string_view text, std::size_t limit = 4096) {
  std::string out;
  const std::string_view shown = text.substr(0, limit);
  out.reserve(shown.size());
  for (const char c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  if (shown.size() < text.size()) out += "...";
  return out;
}

constexpr std::size_t kLongestName = 200;
constexpr std::size_t kMostTold = 20;

}  // namespace

std::string_view code_name(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidFile:
      return "invalid_file";
    case ErrorCode::kUnsupported:
      return "unsupported";
    case ErrorCode::kInvalidRecipe:
      return "invalid_recipe";
    case ErrorCode::kInvalidArgument:
      return "invalid_argument";
    case ErrorCode::kNotFound:
      return "not_found";
    case ErrorCode::kUsage:
      return "usage";
    case ErrorCode::kGateFailed:
      return "gate_failed";
    case ErrorCode::kIo:
      return "io";
    case ErrorCode::kResource:
      return "resource";
    case ErrorCode::kInterrupted:
      return "interrupted";
  }
  return "unknown";
}

int exit_status(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidFile:
    case ErrorCode::kUnsupported:
    case ErrorCode::kInvalidRecipe:
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
      return 1;
    case ErrorCode::kUsage:
      return 2;
    case ErrorCode::kGateFailed:
      return 3;
    case ErrorCode::kIo:
    case ErrorCode::kResource:
      return 4;
    case ErrorCode::kInterrupted:
      return 130;
  }
  return 70;
}

Error&& Error::at(Place where) && {
  place = std::move(where);
  return std::move(*this);
}

Error&& Error::in(std::string file) && {
  if (place.file.empty()) place.file = std::move(file);
  return std::move(*this);
}

Error&& Error::at_offset(std::uint64_t offset) && {
  place.offset = static_cast<std::int64_t>(offset);
  return std::move(*this);
}

Error&& Error::at_line(int line, int column) && {
  place.line = line;
  place.column = column;
  return std::move(*this);
}

Error&& Error::at_tensor(std::string name) && {
  place.tensor = std::move(name);
  return std::move(*this);
}

Error&& Error::note(std::string text) && {
  notes.push_back(std::move(text));
  return std::move(*this);
}

Error&& Error::fix(std::string text) && {
  remedy = std::move(text);
  return std::move(*this);
}

std::string Error::to_string() const {
  std::string out = alone();
  const std::size_t told = std::min(more.size(), kMostTold - 1);
  for (std::size_t i = 0; i < told; ++i) out += "\n" + more[i].alone();
  if (told < more.size()) out += "\nand " + std::to_string(more.size() - told) + " more";
  return out;
}

std::string Error::alone() const {
  std::string out = printable(place.file);
  if (place.line > 0) {
    out += out.empty() ? "line " : ":";
    out += std::to_string(place.line);
    if (place.column > 0) out += ":" + std::to_string(place.column);
  }
  if (!out.empty()) out += ": ";
  out += "error: " + printable(message);
  std::string where;
  if (!place.tensor.empty()) where = "tensor '" + printable(place.tensor, kLongestName) + "'";
  if (place.offset >= 0) {
    if (!where.empty()) where += ", ";
    where += "byte " + std::to_string(place.offset);
  }
  if (!where.empty()) out += " (" + where + ")";
  for (const std::string& text : notes) out += "\n  note: " + printable(text);
  if (!remedy.empty()) out += "\n  remedy: " + printable(remedy);
  return out;
}

Error invalid_file(std::string message) { return {ErrorCode::kInvalidFile, std::move(message)}; }
Error unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }
Error invalid_argument(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message)};
}
Error not_found(std::string message) { return {ErrorCode::kNotFound, std::move(message)}; }

Error io_error(std::string message, int errno_value) {
  ErrorCode code = ErrorCode::kIo;
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
      code = ErrorCode::kNotFound;
      break;
    case EACCES:
    case EPERM:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
      code = ErrorCode::kInvalidArgument;
      break;
    case ENOMEM:
      code = ErrorCode::kResource;
      break;
    default:
      break;
  }
  Error error(code, std::move(message));
  if (errno_value != 0) error.message += ": " + std::generic_category().message(errno_value);
  if (errno_value == ENOSPC || errno_value == EDQUOT) {
    error.remedy = "free some space on that file system, then run the command again";
  }
  return error;
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 64;  // nobody mistypes more, and the cost is quadratic
  if (word.empty() || word.size() > kLongest) return {};
  const std::size_t allowed = std::max<std::size_t>(1, word.size() / 3);
  std::size_t best_distance = allowed + 1;
  std::string best;
  std::vector<std::size_t> row(kLongest + 1);
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || candidate.size() > kLongest) continue;
    for (std::size_t j = 0; j <= candidate.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      std::size_t diagonal = row[0];  // the previous row's entry j - 1
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t replaced = diagonal + (word[i - 1] != candidate[j - 1]);
        diagonal = row[j];
        row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
      }
    }
    const std::size_t distance = row[candidate.size()];
    // A candidate that shares no letter is no help, however short.
    if (distance < best_distance && distance < std::max(word.size(), candidate.size())) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string near = nearest(word, candidates);
  return near.empty() ? "" : " (did you mean '" + near + "'?)";
}

std::string suggestion(std::string_view word, const std::vector<std::string>& candidates,
                       std::string_view kinds) {
  if (std::string near = did_you_mean(word, candidates); !near.empty()) return near;
  return "; " + std::string(kinds) + " are " + join(candidates, ", ");
}

void check_failed(const char* condition, const char* file, int line, const std::string& why) {
  std::fprintf(stderr, "%s:%d: internal error: %s (%s)\n", file, line, why.c_str(), condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace thimble
