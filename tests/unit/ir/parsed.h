#pragma once
// Models that tests write as text.

#include <string_view>
#include <utility>

#include "ir/model.h"
#include "unit/catch.h"

namespace thimble::test {

inline ir::Model parsed(std::string_view text) {
  Expected<ir::Model> model = ir::parse(text);
  if (!model) FAIL(model.error().to_string());
  return *std::move(model);
}

// With the types of all values.
inline ir::Model inferred(std::string_view text) {
  ir::Model model = parsed(text);
  if (const Status status = ir::infer_shapes(model); !status) FAIL(status.error().to_string());
  return model;
}

}  // namespace thimble::test
