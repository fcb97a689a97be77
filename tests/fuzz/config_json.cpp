// DEPENDS: thimble_formats
// Every architecture reads the configuration as its own and builds on the weights of a tiny model
// of tests/data/oracle, as far as the two agree; its quantization_config tells how to read packed
// ones.
#include <string_view>

#include "formats/huggingface/decoder.h"
#include "formats/huggingface/packed.h"
#include "formats/huggingface/reader.h"
#include "formats/safetensors/reader.h"

namespace {

using namespace thimble;

class TinyWeights : public formats::WeightProvider {
 public:
  explicit TinyWeights(const std::string& folder) {
    const std::string path = THIMBLE_SOURCE_DIR "/tests/data/oracle/" + folder;
    if (!formats::read_safetensors(path + "/model.safetensors", tensors_)) std::abort();
  }
  std::optional<ir::Weight> find(const std::string& name) const override {
    const auto at = tensors_.find(name);
    if (at == tensors_.end()) return std::nullopt;
    return formats::mapped_weight(name, at->second);
  }
  const formats::TensorMap& tensors() const { return tensors_; }
  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const auto& [name, entry] : tensors_) out.push_back(name);
    return out;
  }

 private:
  formats::TensorMap tensors_;
};

struct Architecture {
  const char* name;
  TinyWeights weights;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto json = text::parse_json(text, "config.json");
  if (!json || !json->is_object()) return 0;
  static const Architecture kArchitectures[] = {
      {"LlamaForCausalLM", TinyWeights("llama")},   {"MistralForCausalLM", TinyWeights("mistral")},
      {"Qwen2ForCausalLM", TinyWeights("qwen2")},   {"Qwen3ForCausalLM", TinyWeights("qwen3")},
      {"Gemma2ForCausalLM", TinyWeights("gemma2")}, {"Gemma3ForCausalLM", TinyWeights("gemma3")},
      {"Phi3ForCausalLM", TinyWeights("phi3")},     {"GPT2LMHeadModel", TinyWeights("gpt2")},
      {"BertModel", TinyWeights("bert")},           {"RobertaModel", TinyWeights("roberta")}};
  for (const auto& [architecture, weights] : kArchitectures) {
    ir::Model model;
    formats::keep_metadata(*json, model);
    (void)formats::metadata_config(model);
    const formats::Config config(*json, "config.json");
    (void)formats::build_architecture(architecture, config, weights,
                                      {.pooling = ir::Pooling::kMean}, model);
  }
  static const TinyWeights kPacked[] = {TinyWeights("packed/gptq4-32"),
                                        TinyWeights("packed/awq4-32"),
                                        TinyWeights("packed/compressed4-32")};
  for (const TinyWeights& weights : kPacked) {
    const formats::Config config(*json, "config.json");
    const auto quantization = config.map("quantization_config");
    if (!quantization) continue;
    formats::TensorMap tensors = weights.tensors();
    const auto taken = formats::take_packed(*quantization, tensors);
    if (!taken) continue;
    for (const auto& [name, weight] : *taken) (void)ir::read_floats(weight);
  }
  return 0;
}
