// GGUF to a model: the metadata becomes the configuration that Hugging Face would give the same
// network, the tensors get its names, and the same builders emit the graph.

#include "formats/gguf/reader.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "formats/gguf/architectures.h"
#include "formats/gguf/source.h"
#include "formats/huggingface/reader.h"
#include "text/compile.h"

namespace thimble::formats {
namespace {

using gguf::Container;
using gguf::Naming;
using text::Json;

using gguf::Architecture;

Expected<const Architecture*> architecture_of(const Container& file) {
  THIMBLE_ASSIGN(const auto name, gguf::text(file, "general.architecture"));
  if (!name) return invalid_file("has no general.architecture").in(file.file->path());
  std::string known;
  for (const Architecture& architecture : gguf::kArchitectures) {
    if (architecture.gguf == *name) return &architecture;
    if (known.ends_with(architecture.gguf)) continue;
    known += (known.empty() ? "" : ", ") + std::string(architecture.gguf);
  }
  return unsupported("architecture '" + *name + "' is not supported in GGUF files; supported are " +
                     known)
      .in(file.file->path());
}

class GgufWeights : public WeightProvider {
 public:
  GgufWeights(const Container& file, const Architecture& architecture, const Json& config)
      : file_(file), architecture_(architecture) {
    heads_ = config.value("num_attention_heads", std::int64_t{0});
    kv_heads_ = config.value("num_key_value_heads", heads_);
  }

  bool gains_include_one() const override { return architecture_.gains_include_one; }
  bool outputs_first() const override { return true; }

  std::optional<ir::Weight> find(const std::string& name) const override {
    const auto at = file_.tensors.find(gguf::to_gguf(name, architecture_.naming));
    if (at == file_.tensors.end() || at->second.dims.empty()) return std::nullopt;
    const std::int64_t heads = heads_of(name), rows = at->second.dims.front();
    const bool divides = heads > 0 && rows % (2 * heads) == 0;  // or the builder refuses its dims
    auto weight = gguf::mapped_tensor(file_, at->second, name, divides ? heads : 0,
                                      factor_of(at->first, at->second));
    return weight ? std::optional(std::move(*weight)) : std::nullopt;
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> out;
    for (const auto& [name, tensor] : file_.tensors) {
      std::string known = gguf::to_huggingface(name, architecture_.naming);
      if (!known.empty()) out.push_back(std::move(known));
    }
    return out;
  }

 private:
  // By which the tensor's products are multiplied; NaN where it is no number of that file's.
  float factor_of(const std::string& name, const gguf::Tensor& tensor) const {
    if (!tensor.type->scaled_aside) return 1;
    const auto at = file_.tensors.find(gguf::beside(name, "scale"));
    if (at == file_.tensors.end()) return 1;
    const gguf::Tensor& scale = at->second;
    float factor = std::numeric_limits<float>::quiet_NaN();
    if (scale.type->dense == ir::DType::kF32 && scale.size == sizeof factor)
      std::memcpy(&factor, file_.file->bytes().data() + scale.offset, sizeof factor);
    return factor;
  }

  std::int64_t heads_of(const std::string& name) const {
    if (!architecture_.interleaved) return 0;
    if (name.find(".q_proj.") != std::string::npos) return heads_;
    return name.find(".k_proj.") != std::string::npos ? kv_heads_ : 0;
  }

  const Container& file_;
  const Architecture& architecture_;
  std::int64_t heads_ = 0, kv_heads_ = 0;
};

// Reads the keys of one architecture into a configuration; what nobody asked for is an error.
class Metadata {
 public:
  Metadata(const Container& file, const Architecture& architecture)
      : file_(file), architecture_(architecture), prefix_(std::string(architecture.gguf) + ".") {}

  Expected<Json> config() {
    out_ = Json::object();
    out_["architectures"] = Json::array({std::string(architecture_.huggingface)});
    if (architecture_.naming == Naming::kGpt2) {
      THIMBLE_TRY(gpt2());
    } else {
      THIMBLE_TRY(sizes());
      THIMBLE_TRY(rotary());
      THIMBLE_TRY(attention());
    }
    THIMBLE_TRY(vocabulary());
    out_["tie_word_embeddings"] = !file_.tensors.contains("output.weight");
    THIMBLE_TRY(refuse_others());
    return std::move(out_);
  }

 private:
  std::string asked(const char* key) {
    std::string name = prefix_ + key;
    asked_.insert(name);
    return name;
  }
  Error missing(const char* key) const {
    return invalid_file("'" + prefix_ + key + "' is missing").in(file_.file->path());
  }

  // A number, or a list that says the same for every layer.
  Expected<std::optional<std::int64_t>> count(const char* key) {
    const std::string name = asked(key);
    const auto at = file_.values.find(name);
    if (at == file_.values.end() || !std::holds_alternative<gguf::Array>(at->second)) {
      return gguf::integer(file_, name);
    }
    THIMBLE_ASSIGN(const auto all, gguf::integers(file_, name));
    for (const std::int64_t one : all) {
      if (one != all.front()) {
        return unsupported("'" + name + "' differs between layers").in(file_.file->path());
      }
    }
    return all.empty() ? std::optional<std::int64_t>() : std::optional(all.front());
  }
  Status copy_count(const char* key, const char* field) {
    THIMBLE_ASSIGN(const auto value, count(key));
    if (value) out_[field] = *value;
    return ok();
  }
  Status need_count(const char* key, const char* field) {
    THIMBLE_TRY(copy_count(key, field));
    return out_.contains(field) ? ok() : Status(missing(key));
  }
  Status copy_real(const char* key, const char* field) {
    THIMBLE_ASSIGN(const auto value, gguf::real(file_, asked(key)));
    if (value) out_[field] = *value;
    return ok();
  }
  std::int64_t field(const char* name) const { return out_.value(name, std::int64_t{0}); }

  Status sizes() {
    THIMBLE_TRY(need_count("embedding_length", "hidden_size"));
    THIMBLE_TRY(need_count("block_count", "num_hidden_layers"));
    THIMBLE_TRY(need_count("feed_forward_length", "intermediate_size"));
    THIMBLE_TRY(need_count("attention.head_count", "num_attention_heads"));
    THIMBLE_TRY(copy_count("attention.head_count_kv", "num_key_value_heads"));
    THIMBLE_TRY(copy_count("context_length", "max_position_embeddings"));
    THIMBLE_TRY(copy_count("attention.key_length", "head_dim"));
    THIMBLE_ASSIGN(const auto value_length, count("attention.value_length"));
    if (field("num_attention_heads") < 1) return missing("attention.head_count");
    if (!out_.contains("head_dim")) {
      out_["head_dim"] = field("hidden_size") / field("num_attention_heads");
    }
    if (value_length && *value_length != field("head_dim")) {
      return unsupported("keys and values of different widths").in(file_.file->path());
    }
    return ok();
  }

  Status gpt2() {
    const std::pair<const char*, const char*> kCounts[] = {{"embedding_length", "n_embd"},
                                                           {"block_count", "n_layer"},
                                                           {"feed_forward_length", "n_inner"},
                                                           {"attention.head_count", "n_head"},
                                                           {"context_length", "n_positions"}};
    for (const auto& [key, name] : kCounts) THIMBLE_TRY(need_count(key, name));
    return copy_real("attention.layer_norm_epsilon", "layer_norm_epsilon");
  }

  Status vocabulary() {
    asked("vocab_size");
    const auto embedding = file_.tensors.find("token_embd.weight");
    if (embedding == file_.tensors.end() || embedding->second.dims.size() != 2) {
      return invalid_file("has no token_embd.weight").in(file_.file->path());
    }
    out_["vocab_size"] = embedding->second.dims[0];
    return ok();
  }

  Status rotary() {
    THIMBLE_TRY(copy_real("rope.freq_base", "rope_theta"));
    THIMBLE_ASSIGN(const auto dim, count("rope.dimension_count"));
    if (dim && *dim != field("head_dim")) {
      if (architecture_.interleaved || field("head_dim") < 1) {
        return unsupported("rotary positions over a part of each head").in(file_.file->path());
      }
      out_["partial_rotary_factor"] =
          static_cast<double>(*dim) / static_cast<double>(field("head_dim"));
    }
    Json scaling = Json::object();
    THIMBLE_ASSIGN(const auto type, gguf::text(file_, asked("rope.scaling.type")));
    THIMBLE_ASSIGN(const auto factor, gguf::real(file_, asked("rope.scaling.factor")));
    THIMBLE_ASSIGN(const auto original, count("rope.scaling.original_context_length"));
    THIMBLE_ASSIGN(const auto attention, gguf::real(file_, asked("rope.scaling.attn_factor")));
    asked("rope.scaling.finetuned");
    if (type && *type != "none") scaling["rope_type"] = *type;
    if (scaling.contains("rope_type") && factor) scaling["factor"] = *factor;
    if (original) scaling["original_max_position_embeddings"] = *original;
    const bool yarn = type && *type == "yarn";
    // Of yarn, what comes on top of its own.
    if (attention)
      scaling["attention_factor"] = *attention * (yarn ? yarn_attention(factor.value_or(1)) : 1);
    THIMBLE_TRY(factors(scaling));
    if (scaling.contains("rope_type")) out_["rope_scaling"] = std::move(scaling);
    return ok();
  }

  // Factors per frequency: Llama 3.1's come ready made, Phi-3's in two sets.
  Status factors(Json& scaling) {
    const auto list = [&](const char* name) -> Expected<Json> {
      const auto at = file_.tensors.find(name);
      if (at == file_.tensors.end()) return Json();
      THIMBLE_ASSIGN(const auto weight, gguf::mapped_tensor(file_, at->second, name, 0));
      if (weight.element_count() > 65'536) {
        return invalid_file("is too long").at_tensor(name).in(file_.file->path());
      }
      THIMBLE_ASSIGN(const auto values, ir::read_floats(weight));
      return Json(values);
    };
    THIMBLE_ASSIGN(const Json both, list("rope_freqs.weight"));
    THIMBLE_ASSIGN(const Json near, list("rope_factors_short.weight"));
    THIMBLE_ASSIGN(const Json far, list("rope_factors_long.weight"));
    if (!both.is_null()) {
      const Json attention = scaling.value("attention_factor", Json(1));
      scaling = {{"rope_type", "factors"}, {"factors", both}, {"attention_factor", attention}};
    }
    if (!near.is_null() && !far.is_null()) {
      scaling["rope_type"] = "longrope";
      scaling["short_factor"] = near;
      scaling["long_factor"] = far;
    }
    return ok();
  }

  Status attention() {
    THIMBLE_TRY(copy_real("attention.layer_norm_rms_epsilon", "rms_norm_eps"));
    THIMBLE_TRY(copy_real("attn_logit_softcapping", "attn_logit_softcapping"));
    THIMBLE_TRY(copy_real("final_logit_softcapping", "final_logit_softcapping"));
    if (architecture_.naming == Naming::kLlama) {
      if (file_.tensors.contains("blk.0.attn_output.bias")) out_["attention_bias"] = true;
      if (file_.tensors.contains("blk.0.ffn_down.bias")) out_["mlp_bias"] = true;
    }
    THIMBLE_TRY(copy_real("rope.freq_base_swa", "rope_local_base_freq"));
    THIMBLE_TRY(windows());
    if (architecture_.largest == 0) return ok();
    // The largest models divide by the width of a head as if heads made up the whole width.
    const bool largest = field("num_hidden_layers") == architecture_.largest;
    out_["query_pre_attn_scalar"] =
        largest ? field("hidden_size") / field("num_attention_heads") : field("head_dim");
    return ok();
  }

  Status windows() {
    THIMBLE_ASSIGN(const auto window, count("attention.sliding_window"));
    THIMBLE_ASSIGN(const auto given, count("attention.sliding_window_pattern"));
    if (architecture_.windows == gguf::Windows::kNone && window && *window > 0) {
      return unsupported("a sliding window with architecture '" + std::string(architecture_.gguf) +
                         "'")
          .in(file_.file->path());
    }
    if (window && architecture_.windows != gguf::Windows::kNone) out_["sliding_window"] = *window;
    if (architecture_.windows != gguf::Windows::kPeriodic) return ok();
    const bool any = window.value_or(architecture_.window) > 0;
    const std::int64_t period = any ? given.value_or(architecture_.period) : 1;
    const std::int64_t layers = field("num_hidden_layers");
    if (period < 0 || layers > kMostLayers)
      return invalid_file("too many layers").in(file_.file->path());
    Json& types = out_["layer_types"] = Json::array();
    for (std::int64_t i = 0; i < layers; ++i)
      types.push_back(gguf::has_window(i, period) ? "sliding_attention" : "full_attention");
    return ok();
  }

  // Of the weight beside it.
  bool is_scale(const std::string& name) const {
    if (!name.ends_with(".scale")) return false;
    const auto of = file_.tensors.find(gguf::beside(name, "weight"));
    return of != file_.tensors.end() && of->second.type->scaled_aside;
  }

  // Keys that change results and that nobody here knows.
  Status refuse_others() const {
    for (const auto& [key, value] : file_.values) {
      if (!key.starts_with(prefix_) || asked_.contains(key)) continue;
      const auto* number = std::get_if<std::uint64_t>(&value);
      if (number != nullptr && *number == 0) continue;  // experts: none
      return unsupported("'" + key + "' is not understood").in(file_.file->path());
    }
    for (const auto& [name, tensor] : file_.tensors) {
      const bool factors = name == "rope_freqs.weight" || name.starts_with("rope_factors_");
      if (!factors && !is_scale(name) && gguf::to_huggingface(name, architecture_.naming).empty()) {
        return unsupported("a tensor that is not understood")
            .at_tensor(name)
            .in(file_.file->path());
      }
    }
    return ok();
  }

  const Container& file_;
  const Architecture& architecture_;
  std::string prefix_;
  Json out_;
  std::set<std::string> asked_;
};

Expected<std::int32_t> token_id(const Container& file, const char* key) {
  THIMBLE_ASSIGN(const auto id, gguf::integer(file, key));
  return id && *id >= 0 && *id <= INT32_MAX ? static_cast<std::int32_t>(*id) : -1;
}

Status read_vocabulary(const Container& file, ir::Model& model) {
  text::GgufVocabulary v;
  THIMBLE_ASSIGN(const auto kind, gguf::text(file, "tokenizer.ggml.model"));
  if (!kind || *kind == "none" || *kind == "no_vocab") return ok();
  v.model = *kind;
  THIMBLE_ASSIGN(const auto pre, gguf::text(file, "tokenizer.ggml.pre"));
  v.pre = pre.value_or("");
  THIMBLE_ASSIGN(v.tokens, gguf::texts(file, "tokenizer.ggml.tokens"));
  THIMBLE_ASSIGN(v.scores, gguf::reals(file, "tokenizer.ggml.scores"));
  THIMBLE_ASSIGN(const auto types, gguf::integers(file, "tokenizer.ggml.token_type"));
  v.types.assign(types.begin(), types.end());
  THIMBLE_ASSIGN(v.merges, gguf::texts(file, "tokenizer.ggml.merges"));
  THIMBLE_ASSIGN(v.bos, token_id(file, "tokenizer.ggml.bos_token_id"));
  THIMBLE_ASSIGN(v.eos, token_id(file, "tokenizer.ggml.eos_token_id"));
  THIMBLE_ASSIGN(v.unknown, token_id(file, "tokenizer.ggml.unknown_token_id"));
  THIMBLE_ASSIGN(v.pad, token_id(file, "tokenizer.ggml.padding_token_id"));
  const bool pieces = v.model == "llama";  // whose default is a BOS in front
  THIMBLE_ASSIGN(const auto add_bos, gguf::boolean(file, "tokenizer.ggml.add_bos_token"));
  THIMBLE_ASSIGN(const auto add_eos, gguf::boolean(file, "tokenizer.ggml.add_eos_token"));
  THIMBLE_ASSIGN(const auto add_space, gguf::boolean(file, "tokenizer.ggml.add_space_prefix"));
  const bool llama3 = v.pre == "llama-bpe" || v.pre == "llama3" || v.pre == "llama-v3";
  v.add_bos = add_bos.value_or(pieces || llama3);
  v.add_eos = add_eos.value_or(false);
  v.add_space_prefix = add_space.value_or(pieces);
  THIMBLE_ASSIGN(const tokenizer::Tables tables, text::compile_gguf(v, file.file->path()));
  model.tokenizer = tokenizer::write_tables(tables);
  if (v.bos >= 0) model.generation.bos_token_id = v.bos;
  if (v.pad >= 0) model.generation.pad_token_id = v.pad;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    THIMBLE_ASSIGN(const std::int32_t id, token_id(file, key));
    auto& ids = model.generation.eos_token_ids;
    if (id >= 0 && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  }
  THIMBLE_ASSIGN(const auto chat, gguf::text(file, "tokenizer.chat_template"));
  model.chat_template = chat.value_or("");
  return ok();
}

}  // namespace

Expected<ir::Model> read_gguf(const std::string& path) {
  THIMBLE_ASSIGN(const Container file, gguf::read_container(path));
  THIMBLE_ASSIGN(const Architecture* architecture, architecture_of(file));
  ir::Model model;
  model.source_path = path;
  model.source_format = "gguf";
  model.source_files.push_back(path);
  model.architecture = std::string(architecture->huggingface);
  THIMBLE_ASSIGN(Json json, Metadata(file, *architecture).config());
  keep_metadata(json, model);
  const GgufWeights weights(file, *architecture, json);
  const Config config(std::move(json), path);
  THIMBLE_TRY(build_architecture(model.architecture, config, weights, {}, model));
  THIMBLE_TRY(read_vocabulary(file, model));
  return model;
}

}  // namespace thimble::formats
