#include "data/chat.h"

#include <algorithm>
#include <array>

#include "text/json.h"

namespace thimble::data {
namespace {

// How a set names its lists, and its messages' parts.
struct Naming {
  std::string_view list, role, content;
};
constexpr std::array<Naming, 2> kNamings = {
    Naming{"messages", "role", "content"},      // OpenAI, Hugging Face
    Naming{"conversations", "from", "value"}};  // ShareGPT

// "system", "user" or "assistant"; empty: neither.
std::string role_of(const std::string& name) {
  if (name == "system" || name == "user" || name == "assistant") return name;
  if (name == "human") return "user";
  return name == "gpt" || name == "model" || name == "bot" ? "assistant" : "";
}

const std::string* text_at(const text::Json& message, std::string_view key) {
  const auto found = message.find(key);
  return found != message.end() ? found->get_ptr<const std::string*>() : nullptr;
}

Expected<tokenizer::Message> message_of(const text::Json& message, const Naming& naming) {
  const std::string* role = message.is_object() ? text_at(message, naming.role) : nullptr;
  const std::string* content = message.is_object() ? text_at(message, naming.content) : nullptr;
  if (role == nullptr || content == nullptr) {
    return invalid_file("a message is an object with the texts '" + std::string(naming.role) +
                        "' and '" + std::string(naming.content) + "'");
  }
  tokenizer::Message out{role_of(*role), *content};
  if (out.role.empty())
    return invalid_file("the role '" + *role + "' is none of system, user and assistant");
  return out;
}

Expected<Chat> chat_of(const text::Json& object) {
  for (const Naming& naming : kNamings) {
    const auto list = object.find(naming.list);  // the end for what is no object
    if (list == object.end()) continue;
    if (!list->is_array() || list->empty())
      return invalid_file("'" + std::string(naming.list) + "' is a list of messages");
    Chat chat;
    for (const text::Json& message : *list) {
      THIMBLE_ASSIGN(tokenizer::Message made, message_of(message, naming));
      chat.push_back(std::move(made));
    }
    return chat;
  }
  return invalid_file("a line is an object with 'messages' or 'conversations'");
}

Expected<Chat> parse_line(std::string_view line, const std::string& file) {
  THIMBLE_ASSIGN(const text::Json object, text::parse_json(line, file));
  return chat_of(object);
}

// An offset in a line is its column.
Error at_line(Error error, const std::string& file, int line) {
  const auto column = static_cast<int>(std::max<std::int64_t>(error.place.offset, 0));
  error.place.offset = -1;
  return std::move(error).in(file).at_line(line, column);
}

}  // namespace

Expected<std::vector<Chat>> parse_chats(std::string_view lines, const std::string& file) {
  std::vector<Chat> chats;
  int number = 0;
  while (!lines.empty()) {
    ++number;
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto chat = parse_line(line, file);
    if (!chat) return at_line(std::move(chat).error(), file, number);
    chats.push_back(*std::move(chat));
  }
  if (chats.empty()) return invalid_file("the file holds no conversation").in(file);
  return chats;
}

std::vector<std::int32_t> chat_tokens(const std::vector<Chat>& chats,
                                      const text::ChatTemplate& form,
                                      const tokenizer::Tokenizer& tokenizer) {
  std::vector<std::int32_t> tokens;
  for (Chat chat : chats) {
    if (chat.front().role != "system" && !form.default_system.empty())
      chat.insert(chat.begin(), {"system", form.default_system});
    const auto one = tokenizer.encode(tokenizer::render(form.format, chat),
                                      {.add_special = true, .parse_special = true});
    tokens.insert(tokens.end(), one.begin(), one.end());
  }
  return tokens;
}

}  // namespace thimble::data
