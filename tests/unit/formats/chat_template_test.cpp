// Where a Hugging Face folder keeps its chat template.

#include <filesystem>
#include <fstream>

#include "formats/all.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

std::string template_with(const std::string& tokenizer_config) {
  const ScratchFolder scratch;
  fs::copy(fs::path(THIMBLE_SOURCE_DIR) / "tests/data/fable", scratch.path("m"));
  std::ofstream(scratch.path("m/tokenizer_config.json")) << tokenizer_config;
  const auto model = formats::read_model(scratch.path("m"), {});
  if (!model) FAIL(model.error().to_string());
  return model->chat_template;
}

TEST_CASE("a chat template is a text, or the default of several") {
  CHECK(template_with(R"({"chat_template": "{{ a }}"})") == "{{ a }}");
  CHECK(template_with(R"({"chat_template": [{"name": "tool_use", "template": "{{ t }}"},
                                            {"name": "default", "template": "{{ d }}"}]})") ==
        "{{ d }}");
  CHECK(template_with(R"({"chat_template": [{"name": "rag", "template": "{{ r }}"}]})").empty());
  CHECK(template_with(R"({"chat_template": 3})").empty());
  CHECK(template_with("{}").empty());
}

}  // namespace
}  // namespace thimble
