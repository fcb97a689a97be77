#include "data/chat.h"

#include "unit/catch.h"

namespace thimble::data {
namespace {

std::string refused(const std::string& lines) {
  const auto chats = parse_chats(lines, "chats.jsonl");
  REQUIRE(!chats);
  return chats.error().to_string();
}

TEST_CASE("conversations of both namings") {
  const auto chats = parse_chats(
      R"({"id": 7, "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]})"
      "\n\n"
      R"({"conversations": [{"from": "human", "value": "1 + 1?"}, {"from": "gpt", "value": "2"}]})"
      "\r\n",
      "chats.jsonl");
  REQUIRE(chats);
  REQUIRE(chats->size() == 2);
  CHECK(chats->at(0).at(0).role == "system");
  CHECK(chats->at(0).at(1).content == "Hi");
  CHECK(chats->at(1).at(0).role == "user");
  CHECK(chats->at(1).at(1).role == "assistant");
  CHECK(chats->at(1).at(1).content == "2");
}

TEST_CASE("what is no conversation is refused with its line") {
  CHECK(refused("") == "chats.jsonl: error: the file holds no conversation");
  CHECK(refused("\n{\"messages\": [\n") == "chats.jsonl:2:15: error: not JSON");
  CHECK(refused("[]") ==
        "chats.jsonl:1: error: a line is an object with 'messages' or 'conversations'");
  CHECK(refused(R"({"messages": []})") == "chats.jsonl:1: error: 'messages' is a list of messages");
  CHECK(refused(R"({"messages": [{"role": "user", "content": 3}]})") ==
        "chats.jsonl:1: error: a message is an object with the texts 'role' and 'content'");
  CHECK(refused(R"({"messages": [{"role": "tool", "content": "3"}]})") ==
        "chats.jsonl:1: error: the role 'tool' is none of system, user and assistant");
}

}  // namespace
}  // namespace thimble::data
