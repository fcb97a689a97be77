#pragma once
// What a user can get wrong, as a value.
//
// A user's fault (a file, a recipe, an option) travels as an `Error` inside an `Expected<T>`; our
// own fault is a THIMBLE_CHECK that aborts with its location. Nothing that a file's bytes can reach
// may abort. This header is part of the device library: std and tl::expected only.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thimble {

// What kind of thing went wrong. The code decides the exit status (see exit_status). Output of
// --json holds the name that `code_name` gives, so names are stable.
enum class ErrorCode : std::uint8_t {
  kInvalidFile,      // bytes that break their format's rules
  kUnsupported,      // well-formed, but something that we cannot do
  kInvalidRecipe,    // a recipe that says something it cannot mean
  kInvalidArgument,  // an input (tensor, text, prompt) that the model cannot take
  kNotFound,         // a file, tensor or name that isn't there
  kUsage,            // the command line
  kGateFailed,       // a gate was not met
  kIo,               // the machine: read, write, disk full
  kResource,         // the machine: memory or time limit
  kInterrupted,      // SIGINT, SIGTERM
};

std::string_view code_name(ErrorCode code);

// 1 input refused, 2 usage, 3 gate not met, 4 the machine refused, 130 interrupted.
int exit_status(ErrorCode code);

// Where the fault lies. Empty or negative parts are left out of the text.
struct Place {
  std::string file;
  std::int64_t offset = -1;  // bytes from the start of the file
  int line = 0;              // counted from 1; 0 when unknown
  int column = 0;            // counted from 1; 0 when unknown
  std::string tensor;        // a tensor's or node's name
};

struct Error {
  ErrorCode code = ErrorCode::kInvalidFile;
  std::string message;  // one clause, no full stop, no place
  Place place;
  std::vector<std::string> notes;  // context gained on the way up, innermost first
  std::string remedy;              // what to do about it; may be empty
  std::vector<Error> more;         // other mistakes of the same text (see mistakes.h)

  Error() = default;
  Error(ErrorCode c, std::string m) : code(c), message(std::move(m)) {}

  // Builders, to be chained on a temporary: return Error(...).in(path).at_tensor(name).fix("...").
  Error&& at(Place where) &&;       // sets all of the place
  Error&& in(std::string file) &&;  // sets the file unless one is set already
  Error&& at_offset(std::uint64_t offset) &&;
  Error&& at_line(int line, int column) &&;
  Error&& at_tensor(std::string name) &&;
  Error&& note(std::string text) &&;
  Error&& fix(std::string remedy) &&;

  // The one text form:  FILE:LINE:COLUMN: error: MESSAGE (tensor 'NAME', byte OFFSET)
  //                       note: NOTE
  //                       remedy: REMEDY
  // and so on for the first of `more`, with the number of the others.
  // Control characters are shown as \xNN, long names are cut: the parts may come from hostile
  // files.
  std::string to_string() const;

 private:
  std::string alone() const;  // without `more`
};

// Shorthands that read well at the point of failure.
Error invalid_file(std::string message);
Error unsupported(std::string message);
Error invalid_argument(std::string message);
Error not_found(std::string message);
// The message gains errno's text. ENOENT and its kin are kNotFound, refused access and folders
// kInvalidArgument, ENOMEM kResource, everything else kIo.
Error io_error(std::string message, int errno_value);

// "did you mean 'x'?" material: the candidate nearest to `word` by edit distance, or empty when
// none is near enough to be helpful.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);
// The same as the end of a message, " (did you mean 'x'?)", or empty.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates);
// The same, or all there are where none is near: "; roles are a, b".
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates,
                       std::string_view kinds);

[[noreturn]] void check_failed(const char* condition, const char* file, int line,
                               const std::string& why);

}  // namespace thimble

// A broken invariant of ours: prints the place and aborts (which the tool makes status 70).
#define THIMBLE_CHECK(condition, why)                                               \
  do {                                                                              \
    if (!(condition)) ::thimble::check_failed(#condition, __FILE__, __LINE__, why); \
  } while (false)
