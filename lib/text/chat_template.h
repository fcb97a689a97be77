#pragma once
// Which of the known forms a model's chat template has, by the marks that it writes. The template
// is text to us: it is never run.

#include <string>
#include <string_view>

#include "tokenizer/chat.h"

namespace thimble::text {

struct ChatTemplate {
  tokenizer::ChatFormat format = tokenizer::ChatFormat::kNone;
  std::string default_system;  // what the template says when the user gives no system message
};

ChatTemplate recognise(std::string_view jinja);

}  // namespace thimble::text
