#pragma once
// The words, in recipes and in the text form, for how values are written that a quantized product
// reads.

#include <optional>
#include <string_view>
#include <utility>

#include "ir/graph.h"

namespace thimble::ir {

// kStatic is chosen by calibration and has none.
inline constexpr std::pair<std::string_view, ActivationScheme> kActivationWords[] = {
    {"float", ActivationScheme::kFloat},
    {"int8", ActivationScheme::kInt8},
    {"int8-token", ActivationScheme::kInt8Token},
    {"int16", ActivationScheme::kInt16}};

constexpr std::optional<ActivationScheme> activation_named(std::string_view name) {
  for (const auto& [word, scheme] : kActivationWords) {
    if (word == name) return scheme;
  }
  return std::nullopt;
}

}  // namespace thimble::ir
