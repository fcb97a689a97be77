// Operators of older opsets, and what they become: text in, text out.

#include <algorithm>
#include <regex>

#include "formats/onnx/upgrade.h"
#include "unit/catch.h"
#include "unit/ir/parsed.h"

using namespace thimble;
using formats::onnx::upgrade;
using test::parsed;

namespace {

struct Case {
  const char* what;
  std::int64_t opset;
  const char* before;              // a whole text
  std::vector<std::string> after;  // lines that the result holds, without types and spaces in front
};

// "%y, %z = ..." of "  %y: f32[n], %z: f32[n] = ...".
std::string plain(std::string line) {
  line.erase(0, line.find_first_not_of(' '));
  const std::size_t equals = line.find(" = ");
  if (line.rfind("%", 0) != 0 || equals == std::string::npos) return line;
  static const std::regex kType(": [a-z0-9]+\\[[^\\]]*\\]");
  return std::regex_replace(line.substr(0, equals), kType, "") + line.substr(equals);
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
       R"(graph main(%x: f32[n, 4]) {
          %y = Slice(%x) {ends = [3], starts = [1]}
          return %y })",
       {"%y = Slice(%x, @y/constant, @y/constant.1, @y/constant.2)",
        "weight @y/constant: i64[1] = [1]", "weight @y/constant.1: i64[1] = [3]",
        "weight @y/constant.2: i64[1] = [0]"}},
      {"Slice 10",
       10,
       R"(weight @a: i64[1] = [1]
        graph main(%x: f32[n, 4]) { %y = Slice(%x, @a, @a)
          return %y })",
       {"%y = Slice(%x, @a, @a)"}},
      {"Clip 6, one bound",
       6,
       R"(graph main(%x: f32[n]) { %y = Clip(%x) {max = 6.0}
          return %y })",
       {"%y = Clip(%x, _, @y/constant)", "weight @y/constant: f32[] = [6.0]"}},
      {"Pad 1",
       1,
       R"(graph main(%x: f32[n]) { %y = Pad(%x) {mode = "edge", paddings = [1, 2]}
          return %y })",
       {"%y = Pad(%x, @y/constant, @y/constant.1) {mode = \"edge\"}",
        "weight @y/constant: i64[2] = [1, 2]", "weight @y/constant.1: f32[] = [0.0]"}},
      {"Pad 2",
       10,
       R"(graph main(%x: f32[n]) { %y = Pad(%x) {pads = [1, 2], value = 3.0}
          return %y })",
       {"%y = Pad(%x, @y/constant, @y/constant.1)", "weight @y/constant.1: f32[] = [3.0]"}},
      {"TopK 1",
       9,
       R"(graph main(%x: f32[n]) { %y, %i = TopK(%x) {axis = 0, k = 3}
          return %y, %i })",
       {"%y, %i = TopK(%x, @y/constant) {axis = 0}", "weight @y/constant: i64[1] = [3]"}},
      {"Squeeze 1, no axes",
       12,
       R"(graph main(%x: f32[n, 1]) { %y = Squeeze(%x)
          return %y })",
       {"%y = Squeeze(%x)"}},
      {"Unsqueeze 11",
       12,
       R"(graph main(%x: f32[n]) { %y = Unsqueeze(%x) {axes = [0, -1]}
          return %y })",
       {"%y = Unsqueeze(%x, @y/constant)", "weight @y/constant: i64[2] = [0, -1]"}},
      {"Split 2 with sizes",
       12,
       R"(graph main(%x: f32[6]) { %y, %z = Split(%x) {split = [2, 4]}
          return %y, %z })",
       {"%y, %z = Split(%x, @y/constant)", "weight @y/constant: i64[2] = [2, 4]"}},
      {"Split 13 in equal parts",
       13,
       R"(graph main(%x: f32[6]) { %y, %z = Split(%x) {axis = 0}
          return %y, %z })",
       {"%y, %z = Split(%x) {axis = 0, num_outputs = 2}"}},
      {"ReduceSum 11",
       12,
       R"(graph main(%x: f32[n, 4]) { %y = ReduceSum(%x) {axes = [1]}
          return %y })",
       {"%y = ReduceSum(%x, @y/constant)", "weight @y/constant: i64[1] = [1]"}},
      {"ReduceMean 13",
       17,
       R"(graph main(%x: f32[n, 4]) {
          %y = ReduceMean(%x) {axes = [1], keepdims = 0}
          return %y })",
       {"%y = ReduceMean(%x, @y/constant) {keepdims = 0}"}},
      {"Reshape 1",
       4,
       R"(graph main(%x: f32[n, 4]) { %y = Reshape(%x) {shape = [-1]}
          return %y })",
       {"%y = Reshape(%x, @y/constant)", "weight @y/constant: i64[1] = [-1]"}},
      {"DFT 17",
       17,
       R"(graph main(%x: f32[1, 8, 2]) { %y = DFT(%x) {inverse = 1}
          return %y })",
       {"%y/Reshape = Reshape(%x, @y/constant.2)", "weight @y/constant: i64[] = [1]"}},
  };
  for (const Case& c : cases) check(c);
}

TEST_CASE("defaults that changed are written out") {
  const std::vector<Case> cases = {
      {"Concat 1",
       3,
       R"(graph main(%x: f32[n, 4]) { %y = Concat(%x, %x)
          return %y })",
       {"%y = Concat(%x, %x) {axis = 1}"}},
      {"RoiAlign 10",
       15,
       R"(graph main(%x: f32[1, 1, 4, 4], %r: f32[1, 4], %b: i64[1]) {
          %y = RoiAlign(%x, %r, %b)
          return %y })",
       {"%y = RoiAlign(%x, %r, %b) {coordinate_transformation_mode = \"output_half_pixel\"}"}},
      {"GridSample 16",
       16,
       R"(graph main(%x: f32[1, 1, 4, 4], %g: f32[1, 2, 2, 2]) {
          %y = GridSample(%x, %g) {mode = "bicubic"}
          return %y })",
       {"%y = GridSample(%x, %g) {mode = \"cubic\"}"}},
      {"LpPool 1",
       1,
       R"(graph main(%x: f32[1, 1, 4]) {
          %y = LpPool(%x) {consumed_inputs = [0], kernel_shape = [2], p = 3.0}
          return %y })",
       {"%y = LpPool(%x) {kernel_shape = [2], p = 3}"}},
      {"LSTM 1",
       6,
       R"(graph main(%x: f32[1, 1, 4]) {
          %y = LSTM(%x, %x, %x) {hidden_size = 2, output_sequence = 1}
          return %y })",
       {"%y = LSTM(%x, %x, %x) {hidden_size = 2}"}},
      {"Cast 1",
       5,
       R"(graph main(%x: f32[n]) { %y = Cast(%x) {to = "INT64"}
          return %y })",
       {"%y = Cast(%x) {to = 7}"}},
      {"Scatter 9",
       10,
       R"(graph main(%x: f32[n], %i: i64[1], %u: f32[1]) {
          %y = Scatter(%x, %i, %u) {axis = 0}
          return %y })",
       {"%y = ScatterElements(%x, %i, %u) {axis = 0}"}},
      {"Constant of integers",
       13,
       R"(graph main() { %y = Constant() {value_ints = [1, 2]}
          return %y })",
       {"%y = Constant() {value = @y}", "weight @y: i64[2] = [1, 2]"}},
      {"opset 27 as it is",
       27,
       R"(graph main(%x: f32[n]) { %y = Swish(%x) {alpha = 2.0}
          return %y })",
       {"%y = Swish(%x) {alpha = 2.0}"}},
  };
  for (const Case& c : cases) check(c);
}

TEST_CASE("operands of old broadcasts gain dims") {
  const std::vector<Case> cases = {
      {"known ranks",
       6,
       R"(graph main(%x: f32[1, 3, 8, 8], %b: f32[3]) {
          %y = Add(%x, %b) {axis = 1, broadcast = 1}
          return %y })",
       {"%y/Unsqueeze = Unsqueeze(%b, @y/constant)", "weight @y/constant: i64[2] = [1, 2]",
        "%y = Add(%x, %y/Unsqueeze)"}},
      {"last dims",
       6,
       R"(graph main(%x: f32[1, 3], %b: f32[3]) {
          %y = Mul(%x, %b) {broadcast = 1}
          return %y })",
       {"%y = Mul(%x, %b)"}},
      {"unknown rank",
       6,
       R"(graph main(%x: f32[*], %b: f32[3]) {
          %y = Mul(%x, %b) {axis = 1, broadcast = 1}
          return %y })",
       {"%y/Shape.1 = Shape(%y/Shape)", "%y = Mul(%x, %y/Reshape)"}},
      {"PRelu 6",
       6,
       R"(weight @s: f32[3] = [1.0, 2.0, 3.0]
        graph main(%x: f32[1, 3, 8]) { %y = PRelu(%x, @s)
          return %y })",
       {"%y = PRelu(%x, %y/Unsqueeze)"}},
      {"Gemm 6",
       6,
       R"(graph main(%x: f32[2, 3], %w: f32[3, 4], %b: f32[4]) {
          %y = Gemm(%x, %w, %b) {broadcast = 1}
          return %y })",
       {"%y = Gemm(%x, %w, %b)"}},
  };
  for (const Case& c : cases) check(c);
}

TEST_CASE("layers whose meaning changed") {
  const std::vector<Case> cases = {
      {"Softmax 1 over the last dim",
       12,
       R"(graph main(%x: f32[n, 4]) { %y = Softmax(%x)
          return %y })",
       {"%y = Softmax(%x) {axis = -1}"}},
      {"Softmax 1 over more",
       12,
       R"(graph main(%x: f32[n, 4, 4]) { %y = Softmax(%x)
          return %y })",
       {"%y/Flatten = Flatten(%x) {axis = 1}", "%y/Softmax = Softmax(%y/Flatten) {axis = -1}",
        "%y/Shape = Shape(%x)", "%y = Reshape(%y/Softmax, %y/Shape)"}},
      {"Dropout 7 and its mask",
       10,
       R"(graph main(%x: f32[n]) { %y, %m = Dropout(%x) {ratio = 0.1}
          return %y, %m })",
       {"%y = Identity(%x)", "%m = ConstantOfShape(%y/Shape) {value = @true}"}},
      {"Dropout 13",
       13,
       R"(weight @r: f32[] = [0.5]
        graph main(%x: f32[n]) { %y = Dropout(%x, @r)
          return %y })",
       {"%y = Identity(%x)", "return %y"}},
      {"Upsample 7",
       7,
       R"(graph main(%x: f32[1, 1, 2, 2]) {
          %y = Upsample(%x) {mode = "nearest", scales = [1.0, 1.0, 2.0, 2.0]}
          return %y })",
       {"%y = Resize(%x, _, @y/constant) {coordinate_transformation_mode = \"asymmetric\", "
        "mode = \"nearest\", nearest_mode = \"floor\"}",
        "weight @y/constant: f32[4] = [1.0, 1.0, 2.0, 2.0]"}},
      {"Resize 10",
       10,
       R"(graph main(%x: f32[1, 2], %s: f32[2]) {
          %y = Resize(%x, %s) {mode = "linear"}
          return %y })",
       {"%y = Resize(%x, _, %s) {coordinate_transformation_mode = \"asymmetric\", "
        "mode = \"linear\"}"}},
      {"Resize 11 with empty inputs",
       11,
       R"(weight @e: f32[0] = floats[]
        graph main(%x: f32[1, 2], %s: i64[2]) { %y = Resize(%x, @e, @e, %s)
          return %y })",
       {"%y = Resize(%x, _, _, %s)"}},
      {"BatchNormalization 7",
       9,
       R"(graph main(%x: f32[1, 2], %s: f32[2]) {
          %y, %m = BatchNormalization(%x, %s, %s, %s, %s) {spatial = 1}
          return %y })",
       {"%y = BatchNormalization(%x, %s, %s, %s, %s)"}},
      {"GroupNormalization 18",
       18,
       R"(graph main(%x: f32[1, 4, 3], %s: f32[2]) {
          %y = GroupNormalization(%x, %s, %s) {num_groups = 2}
          return %y })",
       {"%y/Shape = Shape(%x) {end = 2, start = 1}", "%y/Div = Div(%y/Shape, @y/constant)",
        "%y/Expand = Expand(%y/Unsqueeze, %y/Concat)",
        "%y = GroupNormalization(%x, %y/Reshape, %y/Reshape.1) {num_groups = 2}"}},
  };
  for (const Case& c : cases) check(c);
}

TEST_CASE("operators that are written as their bodies") {
  const Case cases[] = {
      {"a loss with weights and labels that don't count",
       13,
       R"(graph main(%x: f32[n, 3], %t: i64[n], %w: f32[3]) {
          %y = NegativeLogLikelihoodLoss(%x, %t, %w) {ignore_index = 7, reduction = "mean"}
          return %y })",
       {"%y/GatherElements = GatherElements(%x, %y/Unsqueeze) {axis = 1}",
        "%y/Gather = Gather(%w, %y/Where)", "%y = Div(%y/ReduceSum, %y/ReduceSum.1)"}},
      {"a loss of each label",
       13,
       R"(graph main(%x: f32[n, 3, m], %t: i64[n, m]) {
          %y, %logs = SoftmaxCrossEntropyLoss(%x, %t) {reduction = "none"}
          return %y, %logs })",
       {"%logs = LogSoftmax(%x) {axis = 1}", "%y = Neg(%y/Squeeze)"}},
      {"a symmetric window",
       17,
       R"(graph main(%n: i64[]) { %y = HannWindow(%n) {periodic = 0}
          return %y })",
       {"%y/Sub = Sub(%y/Cast, @y/constant.2)", "%y = Cast(%y/Sub.1) {to = 1}"}},
  };
  for (const Case& c : cases) check(c);
}

TEST_CASE("a Scan with a batch axis becomes a Scan of Scans") {
  check({"Scan 8",
         8,
         R"(body inner(%s: f32[2], %x: f32[2]) { %t = Add(%s, %x)
          return %t, %t }
        graph main(%s: f32[1, 2], %x: f32[1, 3, 2]) {
          %y, %z = Scan(_, %s, %x) {body = #0, directions = [1], num_scan_inputs = 1}
          return %y, %z })",
         {"%y, %z = Scan(%s, %x) {body = #1, num_scan_inputs = 2}",
          "%y, %z = Scan(%s, %x) {body = #0, num_scan_inputs = 1, scan_input_directions = [1]}"}});
}

TEST_CASE("Fourier transforms of known lengths become products") {
  check({"STFT of frames of 4, each 2 from the next",
         17,
         R"(weight @step: i64[] = [2]
        weight @length: i64[] = [4]
        graph main(%x: f32[1, n, 1], %w: f32[4]) { %y = STFT(%x, @step, %w, @length)
          return %y })",
         {"%y/Mul = Mul(@y/constant, %w)", "%y/Conv = Conv(%y/Transpose, %y/Mul) {strides = [2]}",
          "%y = Transpose(%y/Reshape) {perm = [0, 3, 2, 1]}"}});
  check({"STFT of a signal without a last axis",
         17,
         R"(weight @step: i64[] = [2]
        weight @length: i64[] = [4]
        graph main(%x: f32[1, n]) { %y = STFT(%x, @step, _, @length)
          return %y })",
         {"%y/Conv = Conv(%y/Unsqueeze, @y/constant) {strides = [2]}"}});
  check({"DFT of complex numbers along an axis",
         17,
         R"(graph main(%x: f32[3, 5, 2]) { %y = DFT(%x) {axis = 0, inverse = 1}
          return %y })",
         {"%y/Transpose = Transpose(%x) {perm = [1, 0, 2]}",
          "%y = Transpose(%y/Reshape.1) {perm = [1, 0, 2]}"}});
  check({"DFT and back of what the file says no size of",
         20,
         R"(weight @axes: i64[1] = [-1]
        weight @axis: i64[] = [1]
        graph main(%x: f32[3, 6]) { %z = Unsqueeze(%x, @axes)
          %f = DFT(%z, _, @axis) {onesided = 1}
          %g = Mul(%f, %f)
          %y = DFT(%g, _, @axis)
          return %y })",
         {"%f = Identity(%f/Reshape.1)", "%y = Identity(%y/Reshape.1)"}});
}

TEST_CASE("bodies are rewritten too") {
  check({"If",
         12,
         R"(body then_branch(%x: f32[n, 1]) { %d = Squeeze(%x) {axes = [1]}
          return %d }
        graph main(%x: f32[n, 1], %c: bool[]) {
          %y = If(%c) {else_branch = #0, then_branch = #0}
          return %y })",
         {"%d = Squeeze(%x, @d/constant)"}});
}

TEST_CASE("what can't be upgraded names its node and operator") {
  const auto refused = [](const char* line, std::int64_t opset) {
    return error_of("weight @t: bool[] = [1]\ngraph main(%x: f32[1, 2, 3, 4]) {\n " +
                        std::string(line) + "  // the_node\n return %y\n}",
                    opset);
  };
  const std::string training = refused("%y = Dropout(%x, _, @t)", 13);
  CHECK(training.find("operator Dropout: training mode is on") != std::string::npos);
  CHECK(training.find("the_node") != std::string::npos);
  CHECK(refused("%y = ConstantFill(%x)", 7).find("ConstantFill") != std::string::npos);
  CHECK(refused("%y = Scan(%x, %x)", 8).find("operator Scan") != std::string::npos);
  CHECK(refused("%y = Slice(%x)", 8).find("as many starts as ends") != std::string::npos);
  CHECK(refused("%y = BatchNormalization(%x) {spatial = 0}", 8).find("BatchNorm") !=
        std::string::npos);
  CHECK(refused("%y = STFT(%x, %x)", 17).find("step must be a constant") != std::string::npos);
  CHECK(refused("%y = DFT(%x)", 20).find("size 1 or 2") != std::string::npos);
  CHECK(refused("%y = Relu(%x)", 28).find("opset 28") != std::string::npos);
}
