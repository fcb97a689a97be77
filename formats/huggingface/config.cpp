#include "formats/huggingface/config.h"

namespace thimble::formats {
namespace {

// Fields that don't change what a finished model computes: names, training, generation defaults,
// caching.
const std::set<std::string> kHarmless = {
    "architectures",
    "model_type",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "_name_or_path",
    "use_cache",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "sep_token_id",
    "unk_token_id",
    "decoder_start_token_id",
    "initializer_range",
    "attention_dropout",
    "hidden_dropout",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "resid_pdrop",
    "embd_pdrop",
    "attn_pdrop",
    "embd_pdrop",
    "summary_type",
    "summary_use_proj",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "classifier_dropout",
    "task_specific_params",
    "gradient_checkpointing",
    "is_llama_config",

    "_attn_implementation",
    "attn_implementation",
    "_attn_implementation_autoset",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "use_return_dict",
    "torchscript",
    "id2label",
    "label2id",
    "problem_type",
    "finetuning_task",
    "chunk_size_feed_forward",
    "auto_map",
    "tokenizer_class",
    "prefix",
    "vocab_size",
    "max_position_embeddings",
    "cache_implementation",
    "max_length",
    "min_length",
    "do_sample",
    "num_beams",
    "temperature",
    "top_k",
    "top_p",
    "repetition_penalty",
    "use_bfloat16",
    "transformers.js_config",
    "n_ctx",
    "model_max_length",

    "cross_attention_hidden_size",

    "is_decoder",
    "tie_encoder_decoder",
    "pruned_heads",
    "reorder_and_upcast_attn",
    "gradient_checkpointing_kwargs",
    "quantization_config_",
    "unsloth_version",
    "unsloth_fixed",
    "_sliding_window_pattern",
    "default_theta",
};

// Fields that don't as long as they are off.
const std::set<std::string> kHarmlessWhenOff = {"rope_interleaved", "use_bidirectional_attention",
                                                "add_cross_attention", "is_encoder_decoder"};

}  // namespace

bool Config::has(const std::string& key) const {
  used_.insert(key);
  return json_.contains(key) && !json_[key].is_null();
}

Error Config::wrong(const std::string& key, const std::string& why) const {
  return invalid_file("'" + prefix_ + key + "' " + why).in(file_);
}

Expected<std::int64_t> Config::integer(const std::string& key, std::int64_t least,
                                       std::int64_t most) const {
  if (!has(key)) return wrong(key, "is missing");
  if (!json_[key].is_number_integer()) return wrong(key, "is not a whole number");
  if (json_[key].is_number_unsigned() &&
      json_[key].get<std::uint64_t>() > static_cast<std::uint64_t>(most))
    return wrong(key, "is larger than " + std::to_string(most));
  const auto value = json_[key].get<std::int64_t>();
  if (value < least || value > most)
    return wrong(key, "is " + std::to_string(value) + "; it must lie in " + std::to_string(least) +
                          ".." + std::to_string(most));
  return value;
}

Expected<std::int64_t> Config::integer_or(const std::string& key, std::int64_t fallback,
                                          std::int64_t least, std::int64_t most) const {
  return has(key) ? integer(key, least, most) : Expected<std::int64_t>(fallback);
}

Expected<double> Config::real_or(const std::string& key, double fallback) const {
  if (!has(key)) return fallback;
  if (!json_[key].is_number()) return wrong(key, "is not a number");
  return json_[key].get<double>();
}

Expected<bool> Config::boolean_or(const std::string& key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!json_[key].is_boolean()) return wrong(key, "is not true or false");
  return json_[key].get<bool>();
}

Expected<std::string> Config::text_or(const std::string& key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  if (!json_[key].is_string()) return wrong(key, "is not text");
  return json_[key].get<std::string>();
}

Expected<std::vector<double>> Config::reals(const std::string& key) const {
  if (!has(key) || !json_[key].is_array() || json_[key].size() > 65536)
    return wrong(key, "is not a list of numbers");
  std::vector<double> out;
  for (const auto& item : json_[key]) {
    if (!item.is_number()) return wrong(key, "is not a list of numbers");
    out.push_back(item.get<double>());
  }
  return out;
}

Expected<std::vector<std::string>> Config::texts(const std::string& key) const {
  std::vector<std::string> out;
  if (!has(key)) return out;
  if (!json_[key].is_array() || json_[key].size() > 65536)
    return wrong(key, "is not a list of words");
  for (const auto& item : json_[key]) {
    if (!item.is_string()) return wrong(key, "is not a list of words");
    out.push_back(item.get<std::string>());
  }
  return out;
}

Expected<Config> Config::map(const std::string& key) const {
  if (!has(key)) return Config(nullptr, file_);
  if (!json_[key].is_object()) return wrong(key, "is not a map");
  Config inner(json_[key], file_);
  inner.prefix_ = prefix_ + key + ".";
  return inner;
}

Status Config::check_all_used(const std::string& architecture) const {
  if (!json_.is_object()) return ok();
  for (const auto& [key, value] : json_.items()) {
    if (used_.contains(key) || kHarmless.contains(key) || value.is_null()) continue;
    if (kHarmlessWhenOff.contains(key) && value.is_boolean() && !value.get<bool>()) continue;
    return unsupported("'" + prefix_ + key + "' is not a field that is understood for " +
                       architecture)
        .in(file_)
        .fix("remove it if it doesn't change what the model computes");
  }
  return ok();
}

}  // namespace thimble::formats
