// ONNX files that lie: each is refused with a message, and nothing is read outside of what belongs
// to the model.

#include "formats/onnx/reader.h"
#include "formats/onnx/tensors.h"
#include "onnx_bytes.h"
#include "unit/catch.h"

namespace thimble::formats::onnx {
namespace {

namespace fs = std::filesystem;
using Catch::Contains;

const std::string kX = input("x", 1, {"2"}), kY = output("y", 1, {"2"});
const std::string kRelu = n(node("Relu", {"x"}, {"y"}));

std::string refusal(const std::string& bytes) {
  const ScratchFolder scratch;
  const auto model = read_as_written(scratch.write("m.onnx", bytes));
  return model ? "" : model.error().to_string();
}
std::string graph_refusal(const std::string& graph) { return refusal(model_bytes(graph)); }
std::string tensor_refusal(const std::string& bytes) {
  const ScratchFolder scratch;
  const auto weight = read_tensor(scratch.write("t.pb", bytes));
  return weight ? "" : weight.error().to_string();
}

std::string nested(int levels) {
  std::string graph = n(node("Relu", {"x"}, {"r"})) + output("r", 1, {});
  for (int i = 0; i < levels; ++i) {
    graph = n(node("If", {"x"}, {"r"}, attribute("then_branch", 5, text(6, graph)))) +
            output("r", 1, {});
  }
  return graph;
}

std::string function(const std::string& name, const std::string& nodes) {
  return text(25, text(1, name) + text(10, "local") + text(4, "a") + text(5, "b") + nodes);
}

TEST_CASE("a file that is cut short anywhere is refused") {
  const std::string body = n(node("Add", {"x", "w"}, {"r"})) + output("r", 1, {});
  const std::string whole =
      model_bytes(n(node("If", {"c"}, {"y"}, attribute("then_branch", 5, text(6, body)))) +
                      text(5, floats("w", {2}, {1, 2})) + input("c", 9, {}) + kX + kY,
                  17, 8, function("F", text(7, node("Relu", {"a"}, {"b"}))));
  CHECK(refusal(whole).empty());
  int refused = 0;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    refused += refusal(whole.substr(0, size)).empty() ? 0 : 1;
  }
  // Fields after the graph may be absent: a cut between two of them leaves a model.
  CHECK(refused >= static_cast<int>(whole.size()) - 3);
}

TEST_CASE("a damaged byte anywhere never crashes the reader") {
  const std::string whole =
      model_bytes(n(node("Add", {"x", "w"}, {"y"})) + text(5, floats("w", {2}, {1, 2})) + kX + kY);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0x00, 0x7f, 0x80, 0xff}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(value);
      (void)refusal(damaged);
    }
  }
  SUCCEED();
}

TEST_CASE("what is not a model is refused") {
  CHECK_THAT(refusal(""), Contains("not an ONNX model"));
  CHECK_THAT(refusal(number(1, 8)), Contains("not an ONNX model"));
  CHECK_THAT(refusal(text(7, kRelu + kX + kY)), Contains("not an ONNX model"));
  CHECK_THAT(refusal(std::string("\x0b")), Contains("wire type"));
  CHECK_THAT(refusal(std::string(11, '\xff')), Contains("too many bytes"));
  CHECK_THAT(refusal(varint(7 << 3 | 2) + varint(1ull << 60) + "x"), Contains("truncated"));
  CHECK_THAT(refusal(number(1, 8) + number(7, 3)), Contains("another wire type"));
  CHECK_THAT(refusal(model_bytes(kRelu + kX + kY, 17, 8, text(7, ""))), Contains("two graphs"));
  CHECK_THAT(refusal(model_bytes(kRelu + kX + kY, 28)), Contains("opset 28"));
  CHECK_THAT(refusal(model_bytes(kRelu + kX + kY, 0)), Contains("opset 0"));
}

TEST_CASE("graphs that can't be are refused") {
  CHECK_THAT(graph_refusal(n(node("Relu", {"b"}, {"a"})) + n(node("Relu", {"a"}, {"b"})) + kX +
                           output("b", 1, {})),
             Contains("computed nowhere"));
  CHECK_THAT(graph_refusal(kX + kY), Contains("computed nowhere"));
  CHECK_THAT(graph_refusal(kRelu + kRelu + kX + kY), Contains("'y' is defined twice"));
  CHECK_THAT(graph_refusal(kRelu + kX + kX + kY), Contains("'x' is defined twice"));
  CHECK_THAT(graph_refusal(kRelu + kX + kY + kY), Contains("listed twice"));
  CHECK_THAT(graph_refusal(kRelu + kX + kY + text(5, floats("w", {0}, {})) +
                           text(5, floats("w", {0}, {}))),
             Contains("'w' is defined twice"));
  CHECK_THAT(graph_refusal(n(node("", {"x"}, {"y"})) + kX + kY), Contains("no operator"));
  CHECK_THAT(
      graph_refusal(n(node("Relu", {"x"}, {"y"}, attribute("a", 2, "") + attribute("a", 2, ""))) +
                    kX + kY),
      Contains("given twice"));
  CHECK_THAT(graph_refusal(n(node("Relu", {"x"}, {"y"}, attribute("a", 99, ""))) + kX + kY),
             Contains("unknown type"));
  CHECK_THAT(graph_refusal(n(node("Relu", {"x"}, {"y"},
                                  text(5, text(1, "a") + text(21, "b") + number(20, 2)))) +
                           kX + kY),
             Contains("outside of a function"));
  CHECK_THAT(graph_refusal(n(node("Constant", {}, {"y"})) + kY), Contains("one attribute"));
  CHECK(graph_refusal(nested(12) + kX).empty());
  CHECK_THAT(graph_refusal(nested(200) + kX), Contains("nest deeper"));
}

TEST_CASE("what isn't supported is refused by name") {
  CHECK_THAT(graph_refusal(kRelu + kY + text(11, text(1, "x") + text(2, text(4, "")))),
             Contains("is a sequence") && Contains("'x'"));
  CHECK_THAT(graph_refusal(kRelu + kY + text(11, text(1, "x") + text(2, text(9, "")))),
             Contains("is an optional"));
  CHECK_THAT(graph_refusal(kRelu + kY + input("x", 8, {})), Contains("strings"));
  CHECK_THAT(graph_refusal(kRelu + kY + input("x", 14, {})), Contains("complex"));
  CHECK_THAT(graph_refusal(kRelu + kY + input("x", 99, {})), Contains("99"));
  const std::string sparse = text(15, text(1, floats("s", {1}, {1})));
  CHECK(graph_refusal(sparse + kRelu + kX + kY).empty());
  CHECK_THAT(graph_refusal(sparse + n(node("Add", {"x", "s"}, {"y"})) + kX + kY),
             Contains("sparse initializers") && Contains("'s'"));
  CHECK_THAT(graph_refusal(n(node("Optional", {}, {"y"}, attribute("type", 13, ""))) + kY),
             Contains("a type"));
}

TEST_CASE("functions that grow or call themselves are refused") {
  const auto call = [](const std::string& name) {
    return text(7, node(name, {"a"}, {"b"}, "", "local"));
  };
  const std::string graph = n(node("F", {"x"}, {"y"}, "", "local")) + kX + kY;
  const auto with = [&](const std::string& functions) {
    return refusal(model_bytes(graph, 17, 8, functions));
  };
  CHECK_THAT(with(function("F", call("F"))), Contains("calls itself"));
  CHECK_THAT(with(function("F", call("G")) + function("G", call("F"))), Contains("calls itself"));
  CHECK_THAT(with(function("F", "")), Contains("computed nowhere"));
  CHECK_THAT(with(function("F", call("G") + text(9, number(2, 16)))), Contains("opset 16"));
  std::string bomb;
  for (int i = 0; i < 40; ++i) {
    const std::string next = i == 39 ? "Relu" : "G" + std::to_string(i + 1);
    const std::string domain = i == 39 ? "" : "local";
    bomb += function(i == 0 ? "F" : "G" + std::to_string(i),
                     text(7, node(next, {"a"}, {"t"}, "", domain)) +
                         text(7, node(next, {"t"}, {"b"}, "", domain)));
  }
  CHECK_THAT(with(bomb), Contains("grow too large"));
}

TEST_CASE("tensors whose data isn't what their shape says are refused") {
  CHECK_THAT(tensor_refusal(tensor("t", 1, {2}) + text(9, "1234")), Contains("4 bytes"));
  CHECK_THAT(tensor_refusal(tensor("t", 1, {2})), Contains("fewer"));
  CHECK_THAT(tensor_refusal(tensor("t", 1, {1}) + real(4, 1) + real(4, 1)), Contains("more"));
  CHECK_THAT(tensor_refusal(tensor("t", 1, {-1})), Contains("negative"));
  CHECK_THAT(tensor_refusal(tensor("t", 1, {1ll << 62, 8})), Contains("impossible"));
  CHECK_THAT(tensor_refusal(tensor("t", 1, {1ll << 62, 8, 0})), Contains("impossible"));
  CHECK_THAT(tensor_refusal(tensor("t", 1, std::vector<std::int64_t>(65, 1))),
             Contains("too many dimensions"));
  CHECK_THAT(tensor_refusal(tensor("t", 2, {1}) + number(5, 256)), Contains("doesn't fit"));
  CHECK_THAT(tensor_refusal(tensor("t", 8, {1}) + text(6, "s")), Contains("strings"));
  CHECK(tensor_refusal(tensor("t", 22, {2, 3}) + text(9, "123")).empty());
  CHECK_THAT(graph_refusal(n(node("Identity", {"t"}, {"y"})) + kY +
                           text(5, tensor("t", 23, {2, 3}) + text(9, "123"))),
             Contains("whole bytes"));
  CHECK_THAT(tensor_refusal(number(2, 1) + text(3, tensor("t", 1, {}))), Contains("sequences"));
  CHECK_THAT(tensor_refusal(tensor("t", 1, {1}) + number(14, 7)),
             Contains("unknown kind of place"));
}

std::string entry(const std::string& key, const std::string& value) {
  return text(13, text(1, key) + text(2, value));
}
std::string external(const std::string& location, const std::string& rest = "") {
  return text(5, tensor("w", 1, {2}) + number(14, 1) + entry("location", location) + rest);
}

// A model's folder with a data file of two floats, and things that it must not reach.
struct Folder {
  ScratchFolder scratch;
  std::string read_with(const std::string& initializer, const std::string& model = "model/m.onnx") {
    const std::string graph = n(node("Add", {"x", "w"}, {"y"})) + initializer + kX + kY;
    const auto made = read_as_written(scratch.write(model, model_bytes(graph)));
    if (!made) return made.error().to_string();
    const auto values = ir::read_floats(made->weight(ir::WeightId{0}));
    REQUIRE(values.has_value());
    REQUIRE(made->source_files.size() == 2);
    return std::to_string((*values)[0]) + " " + std::to_string((*values)[1]);
  }
};

std::string two_floats(float a, float b) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &a, 4);
  std::memcpy(out.data() + 4, &b, 4);
  return out;
}

TEST_CASE("external data is read from the model's folder only") {
  Folder folder;
  folder.scratch.write("secret", two_floats(6, 6));
  folder.scratch.write("model/data/w.bin", "1234" + two_floats(1, 2));
  CHECK(folder.read_with(external("data/w.bin", entry("offset", "4"))) == "1.000000 2.000000");
  CHECK(folder.read_with(external("./data/w.bin", entry("offset", "4") + entry("length", "8"))) ==
        "1.000000 2.000000");
  CHECK_THAT(folder.read_with(external("../secret")), Contains("leave the model's folder"));
  CHECK_THAT(folder.read_with(external("data/../../secret")), Contains("leave the model's folder"));
  CHECK_THAT(folder.read_with(external(folder.scratch.path("secret"))),
             Contains("leave the model's folder"));
  CHECK_THAT(folder.read_with(external("")), Contains("leave the model's folder"));
  CHECK_THAT(folder.read_with(external(std::string("data/w.bin\0x", 12))),
             Contains("leave the model's folder"));
  CHECK_THAT(folder.read_with(external("data")), Contains("is a folder"));
  CHECK_THAT(folder.read_with(external("nothing")), Contains("cannot be opened"));
}

TEST_CASE("external data lies inside its file") {
  Folder folder;
  folder.scratch.write("model/w.bin", two_floats(1, 2) + "123");
  const auto with = [&](const std::string& rest) {
    return folder.read_with(external("w.bin", rest));
  };
  CHECK(with("") == "1.000000 2.000000");
  CHECK_THAT(with(entry("offset", "4")), Contains("beyond the end"));
  CHECK_THAT(with(entry("offset", "18446744073709551615")), Contains("beyond the end"));
  CHECK_THAT(with(entry("offset", "18446744073709551616")), Contains("no number"));
  CHECK_THAT(with(entry("offset", "-1")), Contains("no number"));
  CHECK_THAT(with(entry("length", "4")), Contains("its shape 8"));
  CHECK_THAT(with(entry("length", "x")), Contains("no number"));
  CHECK_THAT(folder.read_with(text(5, tensor("w", 1, {2}) + number(14, 1) + text(9, "12345678"))),
             Contains("both in the model and outside"));
}

TEST_CASE("links are followed inside the folder and into the cache's blobs") {
  Folder folder;
  const fs::path root = folder.scratch.path();
  folder.scratch.write("secret", two_floats(6, 6));
  folder.scratch.write("model/real.bin", two_floats(1, 2));
  fs::create_symlink("real.bin", root / "model/inside.bin");
  fs::create_symlink("../secret", root / "model/outside.bin");
  fs::create_directory_symlink("..", root / "model/up");
  CHECK(folder.read_with(external("inside.bin")) == "1.000000 2.000000");
  CHECK_THAT(folder.read_with(external("outside.bin")), Contains("a link that leaves"));
  CHECK_THAT(folder.read_with(external("up/secret")), Contains("a link that leaves"));

  const std::string snapshot = "models--org--name/snapshots/abc/onnx/";
  folder.scratch.write("models--org--name/blobs/0123", two_floats(3, 4));
  fs::create_directories(root / snapshot);
  fs::create_symlink("../../../blobs/0123", root / snapshot / "m.onnx_data");
  fs::create_symlink("../../../../secret", root / snapshot / "leak");
  CHECK(folder.read_with(external("m.onnx_data"), snapshot + "m.onnx") == "3.000000 4.000000");
  CHECK_THAT(folder.read_with(external("leak"), snapshot + "m.onnx"),
             Contains("a link that leaves"));
}

}  // namespace
}  // namespace thimble::formats::onnx
