#include "tokenizer/chat.h"

namespace thimble::tokenizer {
namespace {

// Formats that put every message between the same marks.
struct Marks {
  std::string before_role, after_role, after_content;
};

Marks marks_of(ChatFormat format) {
  switch (format) {
    case ChatFormat::kChatMl:
      return {"<|im_start|>", "\n", "<|im_end|>\n"};
    case ChatFormat::kLlama3:
      return {"<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"};
    case ChatFormat::kGemma:
      return {"<start_of_turn>", "\n", "<end_of_turn>\n"};
    case ChatFormat::kPhi3:
      return {"<|", "|>\n", "<|end|>\n"};
    case ChatFormat::kZephyr:
      return {"<|", "|>\n", "</s>\n"};
    default:
      return {};
  }
}

std::string role_of(ChatFormat format, const std::string& role) {
  return format == ChatFormat::kGemma && role == "assistant" ? "model" : role;
}

std::string render_marked(ChatFormat format, std::span<const Message> messages) {
  const Marks marks = marks_of(format);
  std::string out, carried;  // Gemma has no system role: its words go in front of the user's
  for (const Message& message : messages) {
    if (format == ChatFormat::kGemma && message.role == "system") {
      carried = message.content + "\n\n";
      continue;
    }
    out += marks.before_role + role_of(format, message.role) + marks.after_role + carried +
           message.content + marks.after_content;
    carried.clear();
  }
  return out;
}

bool has_instructions(ChatFormat format) {
  return format == ChatFormat::kLlama2 || format == ChatFormat::kMistral;
}

// Llama 2 and Mistral: [INST] user [/INST] assistant</s>
std::string render_instructions(ChatFormat format, std::span<const Message> messages) {
  std::string out, carried;
  bool first = true;
  for (const Message& message : messages) {
    if (message.role == "system") {
      carried = format == ChatFormat::kLlama2 ? "<<SYS>>\n" + message.content + "\n<</SYS>>\n\n"
                                              : message.content + "\n\n";
    } else if (message.role == "user") {
      if (!first && format == ChatFormat::kLlama2) out += "<s>";
      out += "[INST] " + carried + message.content + " [/INST]";
      carried.clear();
      first = false;
    } else {
      out += " " + message.content + (format == ChatFormat::kLlama2 ? " </s>" : "</s>");
    }
  }
  return out;
}

}  // namespace

std::string render(ChatFormat format, std::span<const Message> messages) {
  return has_instructions(format) ? render_instructions(format, messages)
                                  : render_marked(format, messages);
}

std::string render_prompt(ChatFormat format, std::span<const Message> messages) {
  std::string out = render(format, messages);
  if (has_instructions(format)) return out;
  const Marks marks = marks_of(format);
  return out + marks.before_role + role_of(format, "assistant") + marks.after_role;
}

}  // namespace thimble::tokenizer
