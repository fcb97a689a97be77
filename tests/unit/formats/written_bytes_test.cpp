// What a file will take is known before it is written.

#include <filesystem>

#include "formats/all.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

const fs::path kData = fs::path(THIMBLE_SOURCE_DIR) / "tests/data";

void check_written(const std::string& source, const std::string& path,
                   const formats::Target& target) {
  INFO(source << " as " << path);
  auto model = formats::read_model(source, {});
  REQUIRE(model);
  const auto expected = formats::written_bytes(*model, path, target);
  if (!expected) FAIL(expected.error().to_string());
  ThreadPool pool(1);
  Progress progress(Progress::Style::kQuiet);
  REQUIRE(formats::write_model(*model, path, target, pool, progress));
  std::uint64_t bytes = fs::file_size(path);
  if (fs::exists(path + ".data")) bytes += fs::file_size(path + ".data");
  CHECK(bytes == expected->all);
  CHECK(expected->weights < expected->all);
  CHECK(expected->weights > expected->all / 2);
}

TEST_CASE("the bytes of a file are known before it is written") {
  const ScratchFolder folder;
  const std::string fable = (kData / "fable").string();
  const std::string rotary = (kData / "oracle/llama-llama3").string();
  for (const char* type : {"", "f16", "q8_0", "q4_0"})
    check_written(fable, folder.path("a.gguf"), {.format = "gguf", .type = type});
  check_written(fable, folder.path("b.gguf"),
                {.format = "gguf", .provenance = {{"thimble.version", "1"}}});
  check_written(rotary, folder.path("c.gguf"), {.format = "gguf"});
  check_written(fable, folder.path("a.onnx"),
                {.format = "onnx", .provenance = {{"thimble.version", "1"}}});
  check_written(fable, folder.path("outside.onnx"),
                {.format = "onnx", .external_threshold = 1'000'000});
  CHECK(fs::exists(folder.path("outside.onnx.data")));
  check_written((kData / "onnx/cnn.onnx").string(), folder.path("b.onnx"), {.format = "onnx"});
}

}  // namespace
}  // namespace thimble
