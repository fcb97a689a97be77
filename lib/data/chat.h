#pragma once
// Conversations as fine-tuning sets keep them, one JSON object a line (JSONL):
//
//   {"messages": [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]}
//   {"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}
//
// Other keys of the object are passed over. Blank lines are too.

#include <string>
#include <string_view>
#include <vector>

#include "support/expected.h"
#include "text/chat_template.h"
#include "tokenizer/tokenizer.h"

namespace thimble::data {

using Chat = std::vector<tokenizer::Message>;

// `file` is for errors, which name the line. Errors: what is no such object, a role that isn't
// system, user or assistant (by either naming), content that isn't text, no conversation at all.
Expected<std::vector<Chat>> parse_chats(std::string_view lines, const std::string& file);

// Each conversation as the model saw it in training, with its own BOS where the tokenizer adds one,
// one after another. The template's own system message stands in where a conversation has none.
std::vector<std::int32_t> chat_tokens(const std::vector<Chat>& chats,
                                      const text::ChatTemplate& form,
                                      const tokenizer::Tokenizer& tokenizer);

}  // namespace thimble::data
