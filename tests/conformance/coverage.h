#pragma once
// Which operators the cases use, and how many of the cases of each pass: a table in Markdown.

#include <map>
#include <set>
#include <string>

#include "conformance/cases.h"
#include "support/expected.h"

namespace thimble::conformance {

// The operators of a model with its functions and bodies, "domain::Name" outside of ai.onnx.
Expected<std::multiset<std::string>> operators_of(const std::string& model);

class Coverage {
 public:
  // `name`: CATEGORY/CASE.
  void add(const std::string& name, const std::multiset<std::string>& operators, Outcome outcome);
  // By category, then by operator: cases that consist of it alone, and all that use it.
  std::string markdown() const;

 private:
  struct Count {
    int passed = 0, failed = 0, skipped = 0;
    int all() const { return passed + failed + skipped; }
    void add(Outcome outcome);
  };
  std::map<std::string, Count> categories_;
  std::map<std::string, Count> alone_, used_;  // by operator
};

}  // namespace thimble::conformance
