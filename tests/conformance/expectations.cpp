#include "conformance/expectations.h"

#include <fstream>
#include <sstream>

namespace thimble::conformance {

std::string_view word_of(Outcome outcome) {
  return outcome == Outcome::kPassed ? "pass" : outcome == Outcome::kFailed ? "fail" : "skip";
}

bool Expectation::is(Outcome outcome) const {
  return word_of(outcome) == (word == "within" ? "pass" : word);
}

Expectations read_expectations(const std::string& path) {
  Expectations out;
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

Status write_expectations(const std::string& path, const Expectations& expectations) {
  std::string text;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line) && (line.empty() || line[0] == '#');)
    text += line + "\n";
  in.close();
  std::ostringstream lines;
  for (const auto& [name, e] : expectations) {
    if (e.word == "pass") continue;
    lines << name << ' ' << e.word << ' ';
    if (e.word == "within") lines << e.tolerance.absolute << ' ' << e.tolerance.relative << ' ';
    lines << e.why << '\n';
  }
  std::ofstream out(path);
  out << text << lines.str();
  return out.flush() ? ok() : Status(Error(ErrorCode::kResource, "cannot write the file").in(path));
}

}  // namespace thimble::conformance
