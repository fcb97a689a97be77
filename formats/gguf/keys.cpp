#include "formats/gguf/keys.h"

#include "text/compile.h"

namespace thimble::formats::gguf {
void append_text(std::string& out, std::string_view text) {
  append_number(out, static_cast<std::uint64_t>(text.size()));
  out += text;
}

void Keys::begin(std::string_view key, std::uint32_t type) {
  append_text(bytes_, key);
  append_number(bytes_, type);
  ++count_;
}

void Keys::begin_list(std::string_view key, std::uint32_t type, std::size_t count) {
  begin(key, 9);
  append_number(bytes_, type);
  append_number(bytes_, static_cast<std::uint64_t>(count));
}

void Keys::integer(std::string_view key, std::uint32_t value) {
  begin(key, 4);
  append_number(bytes_, value);
}

void Keys::real(std::string_view key, float value) {
  begin(key, 6);
  append_number(bytes_, value);
}

void Keys::boolean(std::string_view key, bool value) {
  begin(key, 7);
  append_number(bytes_, static_cast<std::uint8_t>(value));
}

void Keys::text(std::string_view key, std::string_view value) {
  begin(key, 8);
  append_text(bytes_, value);
}

void Keys::texts(std::string_view key, const std::vector<std::string>& values) {
  begin_list(key, 8, values.size());
  for (const std::string& value : values) append_text(bytes_, value);
}

void Keys::integers(std::string_view key, std::span<const std::int32_t> values) {
  begin_list(key, 5, values.size());
  for (const std::int32_t value : values) append_number(bytes_, value);
}

void Keys::reals(std::string_view key, std::span<const float> values) {
  begin_list(key, 6, values.size());
  for (const float value : values) append_number(bytes_, value);
}

Status add_tokenizer(const ir::Model& model, std::int64_t vocabulary, Keys& keys) {
  if (model.tokenizer.empty()) {
    keys.text("tokenizer.ggml.model", "none");
    return ok();
  }
  THIMBLE_ASSIGN(const tokenizer::Tables tables, tokenizer::read_tables(model.tokenizer));
  THIMBLE_ASSIGN(text::GgufVocabulary v, text::to_gguf(tables));
  const auto rows = static_cast<std::size_t>(vocabulary);
  if (v.tokens.size() > rows) {
    return invalid_file("the tokenizer has " + std::to_string(v.tokens.size()) +
                        " tokens, the embedding " + std::to_string(rows) + " rows");
  }
  while (v.tokens.size() < rows) {
    v.tokens.push_back("[PAD" + std::to_string(v.tokens.size()) + "]");
    v.scores.push_back(-1e4f);
    v.types.push_back(5);  // unused
  }
  keys.text("tokenizer.ggml.model", v.model);
  if (!v.pre.empty()) keys.text("tokenizer.ggml.pre", v.pre);
  keys.texts("tokenizer.ggml.tokens", v.tokens);
  if (v.model == "llama") keys.reals("tokenizer.ggml.scores", v.scores);
  keys.integers("tokenizer.ggml.token_type", v.types);
  if (!v.merges.empty()) keys.texts("tokenizer.ggml.merges", v.merges);
  const auto id = [&](const char* name, std::int32_t value) {
    if (value >= 0) keys.integer(name, static_cast<std::uint32_t>(value));
  };
  id("tokenizer.ggml.bos_token_id", v.bos);
  id("tokenizer.ggml.eos_token_id", v.eos);
  id("tokenizer.ggml.unknown_token_id", v.unknown);
  id("tokenizer.ggml.padding_token_id", v.pad);
  keys.boolean("tokenizer.ggml.add_bos_token", v.add_bos);
  keys.boolean("tokenizer.ggml.add_eos_token", v.add_eos);
  keys.boolean("tokenizer.ggml.add_space_prefix", v.add_space_prefix);
  if (!model.chat_template.empty()) keys.text("tokenizer.chat_template", model.chat_template);
  return ok();
}

}  // namespace thimble::formats::gguf
