#pragma once
// Expected<T>: a value or an Error; Status: nothing or an Error. Both refuse to be dropped
// silently.

#include <utility>

#include <tl/expected.hpp>

#include "support/error.h"

namespace thimble {

template <class T>
class [[nodiscard]] Expected : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Expected(Error error)
      : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}  // NOLINT: implicit
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : failed_(true), error_(std::move(error)) {}  // NOLINT: implicit
  explicit operator bool() const { return !failed_; }
  bool has_value() const { return !failed_; }
  const Error& error() const& { return error_; }
  Error&& error() && { return std::move(error_); }

 private:
  bool failed_ = false;
  Error error_;
};

inline Status ok() { return Status(); }

}  // namespace thimble

#define THIMBLE_CONCAT_(a, b) a##b
#define THIMBLE_CONCAT(a, b) THIMBLE_CONCAT_(a, b)

// THIMBLE_TRY(expr): returns the error of a Status or Expected to our caller.
#define THIMBLE_TRY(...)                                                          \
  do {                                                                            \
    if (auto thimble_try_result = (__VA_ARGS__); !thimble_try_result.has_value()) \
      return std::move(thimble_try_result).error();                               \
  } while (false)

// THIMBLE_ASSIGN(auto x, expr): declares or assigns x from an Expected, or returns its error.
#define THIMBLE_ASSIGN(target, ...) \
  THIMBLE_ASSIGN_(THIMBLE_CONCAT(thimble_assign_, __LINE__), target, __VA_ARGS__)
#define THIMBLE_ASSIGN_(temporary, target, ...)                    \
  auto temporary = (__VA_ARGS__);                                  \
  if (!temporary.has_value()) return std::move(temporary).error(); \
  target = std::move(*temporary)
