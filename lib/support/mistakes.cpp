#include "support/mistakes.h"

#include <algorithm>
#include <tuple>

namespace thimble {
namespace {

auto place_of(const Error& error) {
  return std::tie(error.place.file, error.place.line, error.place.column);
}

}  // namespace

void Mistakes::add(Status status) {
  if (status) return;
  Error first = std::move(status).error();
  std::vector<Error> more = std::exchange(first.more, {});
  errors_.push_back(std::move(first));
  for (Error& error : more) errors_.push_back(std::move(error));
}

Status Mistakes::status() && {
  if (errors_.empty()) return ok();
  std::stable_sort(errors_.begin(), errors_.end(),
                   [](const Error& a, const Error& b) { return place_of(a) < place_of(b); });
  const auto end = std::unique(errors_.begin(), errors_.end(), [](const Error& a, const Error& b) {
    return a.place.line > 0 && place_of(a) == place_of(b);
  });
  Error first = std::move(errors_.front());
  first.more.assign(std::make_move_iterator(errors_.begin() + 1), std::make_move_iterator(end));
  return first;
}

}  // namespace thimble
