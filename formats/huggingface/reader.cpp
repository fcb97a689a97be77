#include "formats/huggingface/reader.h"

#include <filesystem>

#include "formats/huggingface/decoder.h"
#include "formats/huggingface/packed.h"
#include "formats/huggingface/sentences.h"
#include "formats/safetensors/reader.h"
#include "support/mapped_file.h"
#include "text/compile.h"

namespace thimble::formats {
namespace {

namespace fs = std::filesystem;

class SafetensorsWeights : public WeightProvider {
 public:
  SafetensorsWeights(TensorMap tensors, std::map<std::string, ir::Weight> packed)
      : tensors_(std::move(tensors)), packed_(std::move(packed)) {}
  // Checkpoints of a bare encoder and of a model around it name tensors with and without the inner
  // model's prefix.
  std::optional<ir::Weight> find(const std::string& name) const override {
    for (const std::string& prefix :
         {std::string(), std::string("transformer."), std::string("bert."), std::string("roberta."),
          std::string("model."), std::string("language_model.")}) {
      if (const auto at = tensors_.find(prefix + name); at != tensors_.end())
        return mapped_weight(name, at->second);
      if (const auto at = packed_.find(prefix + name); at != packed_.end()) {
        ir::Weight weight = at->second;
        weight.name = name;
        return weight;
      }
    }
    return std::nullopt;
  }
  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const auto& [name, entry] : tensors_) out.push_back(name);
    for (const auto& [name, weight] : packed_) out.push_back(name);
    return out;
  }

 private:
  TensorMap tensors_;
  std::map<std::string, ir::Weight> packed_;  // quantized in the checkpoint
};

Expected<std::string> read_all(const std::string& path) {
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  return std::string(file->text());
}

void read_generation(const text::Json& json, ir::GenerationConfig& out) {
  auto integer = [&](const char* key) -> std::optional<std::int64_t> {
    return json.contains(key) && json[key].is_number_integer()
               ? std::optional(json[key].get<std::int64_t>())
               : std::nullopt;
  };
  auto real = [&](const char* key) -> std::optional<float> {
    return json.contains(key) && json[key].is_number() ? std::optional(json[key].get<float>())
                                                       : std::nullopt;
  };
  if (const auto id = integer("bos_token_id")) out.bos_token_id = id;
  if (const auto id = integer("pad_token_id")) out.pad_token_id = id;
  if (json.contains("eos_token_id")) {
    out.eos_token_ids.clear();
    if (const auto id = integer("eos_token_id")) out.eos_token_ids.push_back(*id);
    if (json["eos_token_id"].is_array()) {
      for (const auto& id : json["eos_token_id"]) {
        if (id.is_number_integer()) out.eos_token_ids.push_back(id.get<std::int64_t>());
      }
    }
  }
  if (const auto v = real("temperature")) out.temperature = v;
  if (const auto v = real("top_p")) out.top_p = v;
  if (const auto v = real("repetition_penalty")) out.repetition_penalty = v;
  if (const auto v = integer("top_k")) out.top_k = v;
}

// Of several templates, the one that is used unless another is asked for.
std::string chat_template_of(const text::Json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  for (const text::Json& named : *found) {
    if (text::text_of(named, "name") == "default") return text::text_of(named, "template");
  }
  return "";
}

// What a folder's tokenizer is compiled from: the first of these that is there.
enum class TokenizerSource { kJson, kSentencePiece, kWordPiece, kVocabMerges, kNone };

TokenizerSource tokenizer_source(const std::string& folder) {
  if (fs::exists(folder + "/tokenizer.json")) return TokenizerSource::kJson;
  if (fs::exists(folder + "/tokenizer.model")) return TokenizerSource::kSentencePiece;
  if (fs::exists(folder + "/vocab.txt")) return TokenizerSource::kWordPiece;
  if (fs::exists(folder + "/vocab.json") && fs::exists(folder + "/merges.txt"))
    return TokenizerSource::kVocabMerges;
  return TokenizerSource::kNone;
}

Status read_those_there(const std::string& folder,
                        std::initializer_list<std::pair<const char*, std::string*>> files) {
  for (const auto& [name, content] : files) {
    if (!fs::exists(folder + name)) continue;
    THIMBLE_ASSIGN(*content, read_all(folder + name));
  }
  return ok();
}

Expected<tokenizer::Tables> read_vocab_merges(const std::string& folder,
                                              const std::string& architecture) {
  text::VocabMerges files;
  files.architecture = architecture;
  THIMBLE_TRY(read_those_there(folder, {{"/vocab.json", &files.vocabulary},
                                        {"/merges.txt", &files.merges},
                                        {"/tokenizer_config.json", &files.config},
                                        {"/special_tokens_map.json", &files.special},
                                        {"/added_tokens.json", &files.added}}));
  return text::compile_vocab_merges(files, folder);
}

Expected<tokenizer::Tables> read_wordpiece(const std::string& folder) {
  text::WordPiece files;
  THIMBLE_TRY(read_those_there(
      folder, {{"/vocab.txt", &files.vocabulary}, {"/tokenizer_config.json", &files.config}}));
  return text::compile_wordpiece(files, folder);
}

Expected<tokenizer::Tables> compile_tokenizer(TokenizerSource source, const std::string& folder,
                                              const std::string& architecture) {
  if (source == TokenizerSource::kVocabMerges) return read_vocab_merges(folder, architecture);
  if (source == TokenizerSource::kWordPiece) return read_wordpiece(folder);
  const bool json = source == TokenizerSource::kJson;
  const std::string path = folder + (json ? "/tokenizer.json" : "/tokenizer.model");
  THIMBLE_ASSIGN(const auto file, MappedFile::open(path));
  return json ? text::compile_tokenizer_json(file->text(), path)
              : text::compile_sentencepiece(file->bytes(), path);
}

Status read_tokenizer(TokenizerSource source, const std::string& folder, ir::Model& model) {
  if (source == TokenizerSource::kNone) return ok();
  THIMBLE_ASSIGN(tokenizer::Tables tables, compile_tokenizer(source, folder, model.architecture));
  if (const std::string config = folder + "/tokenizer_config.json"; fs::exists(config)) {
    THIMBLE_ASSIGN(const std::string content, read_all(config));
    const bool bare =
        source == TokenizerSource::kSentencePiece || source == TokenizerSource::kWordPiece;
    THIMBLE_TRY(text::apply_tokenizer_config(content, config, bare, tables));
    THIMBLE_ASSIGN(const text::Json parsed, text::parse_json(content, config));
    if (parsed.is_object()) model.chat_template = chat_template_of(parsed);
  }
  if (const std::string jinja = folder + "/chat_template.jinja"; fs::exists(jinja)) {
    THIMBLE_ASSIGN(model.chat_template, read_all(jinja));
  }
  const auto count = static_cast<std::int64_t>(tables.tokens.size());
  auto known = [&](std::optional<std::int64_t> id) { return id && *id >= 0 && *id < count; };
  if (tables.bos < 0 && known(model.generation.bos_token_id))
    tables.bos = static_cast<std::int32_t>(*model.generation.bos_token_id);
  if (tables.eos < 0 && !model.generation.eos_token_ids.empty() &&
      known(model.generation.eos_token_ids.front())) {
    tables.eos = static_cast<std::int32_t>(model.generation.eos_token_ids.front());
  }
  model.tokenizer = tokenizer::write_tables(tables);
  return ok();
}

std::string architecture_of(const text::Json& json) {
  if (json.contains("architectures") && json["architectures"].is_array() &&
      !json["architectures"].empty() && json["architectures"][0].is_string()) {
    return json["architectures"][0].get<std::string>();
  }
  return "";
}

using SpecReader = Expected<DecoderSpec> (*)(const Config&);
struct DecoderArchitecture {
  std::string_view name, model_type;
  SpecReader read;
};
constexpr DecoderArchitecture kDecoders[] = {
    {"LlamaForCausalLM", "llama", read_llama},    {"MistralForCausalLM", "mistral", read_mistral},
    {"Qwen2ForCausalLM", "qwen2", read_qwen2},    {"Qwen3ForCausalLM", "qwen3", read_qwen3},
    {"Gemma2ForCausalLM", "gemma2", read_gemma2}, {"Gemma3ForCausalLM", "gemma3_text", read_gemma3},
    {"Phi3ForCausalLM", "phi3", read_phi3},
};

// Tensors that builders don't ask for: what they recompute, heads of other tasks, and the copy of a
// tied embedding. Anything else would change results.
Status check_unused(const Builder& builder, bool encoder) {
  for (const std::string& name : builder.unused()) {
    const bool recomputed = name.ends_with("rotary_emb.inv_freq") || name.ends_with(".attn.bias") ||
                            name.ends_with(".attn.masked_bias") ||
                            name.ends_with("embeddings.position_ids");
    const bool head = encoder && name.find("encoder.layer.") == std::string::npos;
    if (recomputed || head || name == "lm_head.weight") continue;
    return unsupported("the network that config.json describes has no place for this tensor")
        .at_tensor(name);
  }
  return ok();
}

Error unknown_architecture(const std::string& name) {
  return unsupported("architecture '" + name +
                     "' is not supported; supported are Llama (and SmolLM), Mistral, Qwen2, Qwen3, "
                     "Gemma 2 and 3 (text), Phi-3, GPT-2, BERT (and MiniLM), RoBERTa");
}

// Encoders are read without what is behind them, which is nothing that a classifier can do without.
Status refuse_heads(const std::string& architecture, const Config& config) {
  for (const char* task : {"ForSequenceClassification", "ForTokenClassification",
                           "ForQuestionAnswering", "ForMultipleChoice"}) {
    if (!architecture.ends_with(task)) continue;
    return unsupported("architecture '" + architecture + "' is not supported: its head is not read")
        .in(config.file())
        .fix("export it to ONNX, whose graph holds the head");
  }
  return ok();
}

}  // namespace

void keep_metadata(const text::Json& json, ir::Model& model) {
  for (const auto& [key, value] : json.items()) {
    // None, which isn't what the architecture has where nothing is said.
    if (value.is_null() && (key == "sliding_window" || key.ends_with("_logit_softcapping")))
      model.metadata[key] = value.dump();
    if (value.is_number() || value.is_boolean()) model.metadata[key] = value.dump();
    if (value.is_string() && value.get<std::string>().size() < 256)
      model.metadata[key] = value.get<std::string>();
    if (key == "rope_scaling" || key == "rope_parameters" || key == "layer_types")
      model.metadata[key] = value.dump();
  }
}

text::Json metadata_config(const ir::Model& model) {
  text::Json config = text::Json::object();
  for (const auto& [key, value] : model.metadata) {
    text::Json parsed = text::Json::parse(value, nullptr, false);
    config[key] = parsed.is_discarded() ? text::Json(value) : std::move(parsed);
  }
  return config;
}

Expected<DecoderSpec> read_spec(const std::string& architecture, const Config& config) {
  for (const DecoderArchitecture& known : kDecoders) {
    if (known.name == architecture) return known.read(config);
  }
  return unknown_architecture(architecture);
}

std::string model_type_of(const std::string& architecture) {
  for (const DecoderArchitecture& known : kDecoders) {
    if (known.name == architecture) return std::string(known.model_type);
  }
  return architecture == "GPT2LMHeadModel" ? "gpt2" : "";
}

Status build_architecture(const std::string& architecture, const Config& config,
                          const WeightProvider& weights, const Sentences& sentences,
                          ir::Model& model) {
  THIMBLE_ASSIGN(const std::string type, config.text_or("model_type", ""));
  Builder builder(model, weights);
  bool built = false;
  THIMBLE_TRY(refuse_heads(architecture, config));
  for (const DecoderArchitecture& known : kDecoders) {
    if (architecture != known.name && !(architecture.empty() && type == known.model_type)) continue;
    THIMBLE_ASSIGN(const DecoderSpec spec, known.read(config));
    THIMBLE_TRY(build_decoder(builder, spec));
    built = true;
  }
  if (!built && (architecture.starts_with("GPT2") || type == "gpt2")) {
    THIMBLE_TRY(build_gpt2(builder, config));
  } else if (!built && (architecture.starts_with("Bert") || type == "bert")) {
    THIMBLE_TRY(build_bert(builder, config, sentences));
  } else if (!built && (architecture.starts_with("Roberta") ||
                        architecture.starts_with("XLMRoberta") || type == "roberta")) {
    THIMBLE_TRY(build_roberta(builder, config, sentences));
  } else if (!built) {
    return unknown_architecture(architecture.empty() ? type : architecture).in(config.file());
  }
  THIMBLE_TRY(config.check_all_used(architecture.empty() ? type : architecture));
  if (Status status = check_unused(builder, model.task == ir::Task::kEmbed); !status) {
    return std::move(status).error().in(config.file());
  }
  THIMBLE_TRY(ir::infer_shapes(model));
  return ir::verify(model);
}

Expected<ir::Model> read_huggingface(const std::string& folder) {
  ir::Model model;
  model.source_path = folder;
  model.source_format = "huggingface";
  const std::string config_path = folder + "/config.json";
  THIMBLE_ASSIGN(text::Json json, text::read_json(config_path));
  if (!json.is_object()) return invalid_file("is not a map").in(config_path);
  model.architecture = architecture_of(json);
  keep_metadata(json, model);
  read_generation(json, model.generation);
  if (const std::string path = folder + "/generation_config.json"; fs::exists(path)) {
    THIMBLE_ASSIGN(const text::Json generation, text::read_json(path));
    if (generation.is_object()) read_generation(generation, model.generation);
  }
  model.source_files.push_back(config_path);
  THIMBLE_ASSIGN(TensorMap tensors, read_safetensors_folder(folder, model.source_files));
  for (const char* name : {"/generation_config.json", "/modules.json", "/1_Pooling/config.json",
                           "/sentence_bert_config.json", "/tokenizer.json", "/tokenizer.model",
                           "/vocab.txt", "/tokenizer_config.json", "/chat_template.jinja"}) {
    if (fs::exists(folder + name)) model.source_files.push_back(folder + name);
  }
  const TokenizerSource vocabulary = tokenizer_source(folder);
  if (vocabulary == TokenizerSource::kVocabMerges) {
    for (const char* name :
         {"/vocab.json", "/merges.txt", "/special_tokens_map.json", "/added_tokens.json"}) {
      if (fs::exists(folder + name)) model.source_files.push_back(folder + name);
    }
  }
  const Config config(std::move(json), config_path);
  std::map<std::string, ir::Weight> packed;
  if (config.has("quantization_config")) {
    THIMBLE_ASSIGN(const Config quantization, config.map("quantization_config"));
    THIMBLE_ASSIGN(packed, take_packed(quantization, tensors));
  }
  const SafetensorsWeights weights(std::move(tensors), std::move(packed));
  THIMBLE_ASSIGN(const Sentences sentences, read_sentences(folder));
  THIMBLE_TRY(build_architecture(model.architecture, config, weights, sentences, model));
  THIMBLE_TRY(read_tokenizer(vocabulary, folder, model));
  if (model.task == ir::Task::kEmbed) THIMBLE_TRY(read_sentence_limits(folder, model));
  return model;
}

}  // namespace thimble::formats
