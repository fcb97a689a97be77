// DEPENDS: thimble_formats
// Every architecture reads the configuration as its own; there are no weights, so building ends at
// the first.
#include <string_view>

#include "formats/huggingface/decoder.h"
#include "formats/huggingface/reader.h"

namespace {

using namespace thimble;

class NoWeights : public formats::WeightProvider {
 public:
  std::optional<ir::Weight> find(const std::string&) const override { return std::nullopt; }
  std::vector<std::string> names() const override { return {}; }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto json = text::parse_json(text, "config.json");
  if (!json || !json->is_object()) return 0;
  for (const char* architecture :
       {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM",
        "Gemma2ForCausalLM", "Gemma3ForCausalLM", "Phi3ForCausalLM", "GPT2LMHeadModel", "BertModel",
        "RobertaModel"}) {
    ir::Model model;
    formats::keep_metadata(*json, model);
    (void)formats::metadata_config(model);
    const formats::Config config(*json, "config.json");
    (void)formats::build_architecture(architecture, config, NoWeights(), ir::Pooling::kMean, model);
  }
  return 0;
}
