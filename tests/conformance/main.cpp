// Runs ONNX's backend tests and compares the outcome of each with what the expectations say.
//
//   conformance FOLDER [--expect FILE] [--update FILE] [--coverage FILE] [--rewrite FILE]
//               [--only TEXT] [--verbose]
//
// FOLDER holds categories (node, simple, pytorch-converted, pytorch-operator, light) of cases. A
// case that the expectations (expectations.h) don't list must pass. --update writes the
// expectations that this run would meet; --coverage writes a table of operators; --rewrite writes
// each model to that file first, and takes what it reads back. Ends with 1 when
// an outcome isn't the expected one, a pass included.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "conformance/coverage.h"
#include "conformance/expectations.h"
#include "support/system.h"

namespace {

namespace fs = std::filesystem;
using namespace thimble;
using conformance::Expectation;
using conformance::Outcome;

std::vector<std::string> cases_in(const std::string& folder, const std::string& only) {
  std::vector<std::string> out;
  for (const char* category : {"node", "simple", "pytorch-converted", "pytorch-operator"}) {
    const fs::path path = fs::path(folder) / category;
    if (!fs::is_directory(path)) continue;
    for (const auto& entry : fs::directory_iterator(path)) {
      const std::string name = std::string(category) + "/" + entry.path().filename().string();
      if (fs::exists(entry.path() / "model.onnx") && name.find(only) != std::string::npos)
        out.push_back(name);
    }
  }
  const fs::path light = fs::path(folder) / "light";
  for (const auto& entry :
       fs::exists(light) ? fs::directory_iterator(light) : fs::directory_iterator()) {
    const std::string name = "light/" + entry.path().stem().string();
    if (entry.path().extension() == ".onnx" && name.find(only) != std::string::npos)
      out.push_back(name);
  }
  std::sort(out.begin(), out.end());
  return out;
}

struct Arguments {
  std::string folder, expect, update, coverage, rewrite, only;
  bool verbose = false;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  const std::map<std::string, std::string*> values = {{"--expect", &out.expect},
                                                      {"--update", &out.update},
                                                      {"--coverage", &out.coverage},
                                                      {"--rewrite", &out.rewrite},
                                                      {"--only", &out.only}};
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--verbose") {
      out.verbose = true;
    } else if (const auto value = values.find(word); value != values.end()) {
      *value->second = ++i < argc ? argv[i] : "";
    } else {
      out.folder = word;
    }
  }
  return out;
}

class Run {
 public:
  explicit Run(const Arguments& arguments)
      : arguments_(arguments),
        expectations_(conformance::read_expectations(arguments.expect)),
        cases_(cases_in(arguments.folder, arguments.only)) {}

  Status all() {
    for (const std::string& name : cases_) THIMBLE_TRY(one(name));
    for (const auto& [name, expectation] : expectations_) {
      if (!arguments_.only.empty() || std::binary_search(cases_.begin(), cases_.end(), name))
        continue;
      std::printf("%s: expected to %s, but isn't there\n", name.c_str(), expectation.word.c_str());
      ++surprises_;
    }
    if (!arguments_.coverage.empty()) std::ofstream(arguments_.coverage) << coverage_.markdown();
    return arguments_.update.empty() ? ok()
                                     : conformance::write_expectations(arguments_.update, found_);
  }

  int finish() const {
    if (!arguments_.expect.empty()) std::printf("%d not as expected\n", surprises_);
    std::printf("%d passed, %d failed, %d skipped\n", counts_[0], counts_[1], counts_[2]);
    return surprises_ > 0 && !arguments_.expect.empty() ? 1 : 0;
  }

 private:
  Status one(const std::string& name) {
    const auto known = expectations_.find(name);
    const Expectation expected = known == expectations_.end() ? Expectation() : known->second;
    const std::string folder = (fs::path(arguments_.folder) / name).string();
    const conformance::Result result =
        conformance::run_case(folder, arguments_.rewrite, expected.tolerance, pool_);
    ++counts_[static_cast<int>(result.outcome)];
    if (!arguments_.coverage.empty()) {
      THIMBLE_ASSIGN(const auto operators,
                     conformance::operators_of(conformance::model_path(folder)));
      coverage_.add(name, operators, result.outcome);
    }
    const bool as_expected = expected.is(result.outcome);
    surprises_ += as_expected ? 0 : 1;
    if (!as_expected || (arguments_.verbose && result.outcome != Outcome::kPassed)) {
      std::printf("%s: %s (expected %s)%s%s\n", name.c_str(),
                  std::string(conformance::word_of(result.outcome)).c_str(), expected.word.c_str(),
                  result.why.empty() ? "" : ": ", result.why.c_str());
    }
    // A reason that someone wrote stays while the outcome does.
    found_[name] =
        as_expected
            ? expected
            : Expectation{std::string(conformance::word_of(result.outcome)), {}, result.why};
    std::fflush(stdout);
    return ok();
  }

  const Arguments& arguments_;
  const conformance::Expectations expectations_;
  const std::vector<std::string> cases_;
  ThreadPool pool_{1};
  conformance::Expectations found_;
  conformance::Coverage coverage_;
  int counts_[3] = {0, 0, 0}, surprises_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  if (arguments.folder.empty()) {
    std::fprintf(stderr,
                 "usage: conformance FOLDER [--expect FILE] [--update FILE] [--coverage FILE] "
                 "[--rewrite FILE] [--only TEXT] [--verbose]\n");
    return 2;
  }
  Run run(arguments);
  if (Status status = run.all(); !status) {
    std::fprintf(stderr, "%s\n", status.error().to_string().c_str());
    return 1;
  }
  return run.finish();
}
