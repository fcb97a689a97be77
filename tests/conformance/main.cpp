// Runs ONNX's backend tests and compares the outcome of each with what the expectations say.
//
//   conformance FOLDER [--expect FILE] [--update FILE] [--only TEXT] [--verbose]
//
// FOLDER holds categories (node, simple, pytorch-converted, pytorch-operator) of case folders. The
// expectations list the cases that don't pass, a line each: CATEGORY/CASE, `fail` or `skip`, why;
// or CATEGORY/CASE, `within`, the absolute and relative tolerance, why. A case that isn't listed
// must pass. Ends with 1 when an outcome isn't the expected one.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "conformance/cases.h"
#include "support/system.h"

namespace {

namespace fs = std::filesystem;
using namespace thimble;
using conformance::Outcome;

struct Expectation {
  std::string word = "pass";  // pass, fail, skip, within
  conformance::Tolerance tolerance;
  std::string why;
};

std::map<std::string, Expectation> read_expectations(const std::string& path) {
  std::map<std::string, Expectation> out;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name;
    Expectation e;
    words >> name >> e.word;
    if (e.word == "within") words >> e.tolerance.absolute >> e.tolerance.relative;
    std::getline(words >> std::ws, e.why);
    out[name] = e;
  }
  return out;
}

std::string_view word_of(Outcome outcome) {
  return outcome == Outcome::kPassed ? "pass" : outcome == Outcome::kFailed ? "fail" : "skip";
}

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
  std::sort(out.begin(), out.end());
  return out;
}

struct Arguments {
  std::string folder, expect, update, only;
  bool verbose = false;
};

Arguments parse(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::string next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--verbose") {
      out.verbose = true;
    } else if (word == "--expect" || word == "--update" || word == "--only") {
      (word == "--expect" ? out.expect : word == "--update" ? out.update : out.only) = next;
      ++i;
    } else {
      out.folder = word;
    }
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  if (arguments.folder.empty()) {
    std::fprintf(stderr,
                 "usage: conformance FOLDER [--expect FILE] [--update FILE] [--only TEXT] "
                 "[--verbose]\n");
    return 2;
  }
  ThreadPool pool(1);
  const auto expectations = read_expectations(arguments.expect);
  std::ofstream update;
  if (!arguments.update.empty()) update.open(arguments.update);
  int counts[3] = {0, 0, 0}, surprises = 0;
  for (const std::string& name : cases_in(arguments.folder, arguments.only)) {
    const auto known = expectations.find(name);
    const Expectation expected = known == expectations.end() ? Expectation() : known->second;
    const conformance::Result result = conformance::run_case(
        (fs::path(arguments.folder) / name).string(), expected.tolerance, pool);
    ++counts[static_cast<int>(result.outcome)];
    const std::string_view word = word_of(result.outcome);
    const bool as_expected = word == (expected.word == "within" ? "pass" : expected.word);
    surprises += as_expected ? 0 : 1;
    if (!as_expected || (arguments.verbose && result.outcome != Outcome::kPassed)) {
      std::printf("%s: %s (expected %s)%s%s\n", name.c_str(), std::string(word).c_str(),
                  expected.word.c_str(), result.why.empty() ? "" : ": ", result.why.c_str());
    }
    if (update && expected.word == "within") {
      update << name << " within " << expected.tolerance.absolute << ' '
             << expected.tolerance.relative << ' ' << expected.why << '\n';
    } else if (update && result.outcome != Outcome::kPassed) {
      update << name << ' ' << word << ' ' << result.why << '\n';
    }
    std::fflush(stdout);
  }
  if (!arguments.expect.empty()) std::printf("%d not as expected\n", surprises);
  std::printf("%d passed, %d failed, %d skipped\n", counts[0], counts[1], counts[2]);
  return surprises > 0 && !arguments.expect.empty() ? 1 : 0;
}
