#pragma once
// Chat templates of the common forms, written out here: a model's own template is recognised
// (lib/text), never executed.

#include <span>
#include <string>

namespace thimble::tokenizer {

enum class ChatFormat { kNone, kChatMl, kLlama2, kLlama3, kGemma, kMistral, kPhi3, kZephyr };

struct Message {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
};

// The whole conversation as the model saw it in training. BOS is the tokenizer's to add.
std::string render(ChatFormat format, std::span<const Message> messages);
// The same, ready for the assistant's next words.
std::string render_prompt(ChatFormat format, std::span<const Message> messages);

}  // namespace thimble::tokenizer
