#include "text/chat_template.h"

namespace thimble::text {
namespace {

using tokenizer::ChatFormat;

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

ChatFormat format_of(std::string_view jinja) {
  if (has(jinja, "<|im_start|>") && has(jinja, "<|im_end|>")) return ChatFormat::kChatMl;
  if (has(jinja, "<|start_header_id|>") && has(jinja, "<|eot_id|>")) return ChatFormat::kLlama3;
  if (has(jinja, "<start_of_turn>") && has(jinja, "<end_of_turn>")) return ChatFormat::kGemma;
  if (has(jinja, "<<SYS>>") && has(jinja, "[INST]")) return ChatFormat::kLlama2;
  if (has(jinja, "[INST]")) return ChatFormat::kMistral;
  if (has(jinja, "<|end|>") && has(jinja, "<|user|>")) return ChatFormat::kPhi3;
  if (has(jinja, "<|user|>") && has(jinja, "<|assistant|>")) return ChatFormat::kZephyr;
  return ChatFormat::kNone;
}

// ChatML templates with a default write it literally: <|im_start|>system\nYou are ...<|im_end|>
std::string default_system_of(std::string_view jinja) {
  constexpr std::string_view kStart = "<|im_start|>system";
  for (std::size_t at = jinja.find(kStart); at != std::string_view::npos;
       at = jinja.find(kStart, at + 1)) {
    std::size_t begin = at + kStart.size();
    if (jinja.substr(begin, 2) == "\\n")
      begin += 2;
    else if (jinja.substr(begin, 1) == "\n")
      begin += 1;
    else
      continue;
    const std::size_t end = jinja.find("<|im_end|>", begin);
    if (end == std::string_view::npos) continue;
    const std::string_view words = jinja.substr(begin, end - begin);
    const bool literal = !has(words, "'") && !has(words, "{") && !words.empty();
    if (literal) return std::string(words);
  }
  return "";
}

}  // namespace

ChatTemplate recognise(std::string_view jinja) {
  ChatTemplate out{format_of(jinja), ""};
  if (out.format == ChatFormat::kChatMl) out.default_system = default_system_of(jinja);
  return out;
}

}  // namespace thimble::text
