#pragma once
// What is known of each case beforehand: a line each, of those that don't simply pass.
//
//   CATEGORY/CASE skip WHY                     not supported, and refused
//   CATEGORY/CASE fail WHY                     runs, or should, with another result
//   CATEGORY/CASE within ABSOLUTE RELATIVE WHY passes with these tolerances

#include <map>
#include <string>

#include "conformance/cases.h"
#include "support/expected.h"

namespace thimble::conformance {

struct Expectation {
  std::string word = "pass";  // pass, fail, skip, within
  Tolerance tolerance;
  std::string why;

  bool is(Outcome outcome) const;
};

using Expectations = std::map<std::string, Expectation>;

std::string_view word_of(Outcome outcome);
Expectations read_expectations(const std::string& path);
// Lines are sorted; what stands in front of the old file's first case (comments) is kept.
Status write_expectations(const std::string& path, const Expectations& expectations);

}  // namespace thimble::conformance
