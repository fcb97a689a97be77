// Operators of older opsets, and what they become: text in, text out.

#include "formats/onnx/upgrade.h"
#include "unit/catch.h"

using namespace thimble;
using formats::onnx::upgrade;

namespace {

struct Case {
  const char* what;
  std::int64_t opset;
  const char* before;              // a whole text
  std::vector<std::string> after;  // lines that the result holds, without types and spaces in front
};

// "%y = ..." of "  %y: f32[n] = ...  // name".
std::string plain(std::string line) {
  line.erase(0, line.find_first_not_of(' '));
  const std::size_t equals = line.find(" = ");
  if (line.rfind("%", 0) == 0 && equals != std::string::npos) {
    const std::size_t colon = line.find(": ");
    if (colon < equals) line.erase(colon, equals - colon);
  }
  return line;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(plain(text.substr(at, end - at)));
    at = end + 1;
  }
  return lines;
}

ir::Model parsed(const std::string& text) {
  auto model = ir::parse(text);
  if (!model) FAIL(model.error().to_string());
  return std::move(*model);
}

void check(const Case& c) {
  INFO(c.what);
  ir::Model model = parsed(c.before);
  const Status status = upgrade(model, c.opset);
  if (!status) FAIL(status.error().to_string());
  const std::string text = ir::print(model);
  INFO(text);
  const std::vector<std::string> lines = lines_of(text);
  for (const std::string& wanted : c.after) {
    INFO(wanted);
    CHECK(std::find(lines.begin(), lines.end(), wanted) != lines.end());
  }
}

std::string error_of(const std::string& text, std::int64_t opset) {
  ir::Model model = parsed(text);
  const Status status = upgrade(model, opset);
  return status ? "" : status.error().to_string();
}

}  // namespace

TEST_CASE("attributes become inputs") {
  const std::vector<Case> cases = {
      {"Slice 1",
       9,
       "graph main(%x: f32[n, 4]) {\n %y = Slice(%x) {ends = [3], starts = [1]}\n return %y\n}",
       {"%y = Slice(%x, @y/constant, @y/constant.1, @y/constant.2)",
        "weight @y/constant: i64[1] = [1]", "weight @y/constant.1: i64[1] = [3]",
        "weight @y/constant.2: i64[1] = [0]"}},
  };
  for (const Case& c : cases) check(c);
}
