#pragma once
// Added tokens as tokenizer.json and tokenizer_config.json have them, and back.

#include "text/json.h"
#include "tokenizer/tables.h"

namespace thimble::text {

inline tokenizer::AddedToken added_token_of(const Json& json, std::int32_t id) {
  tokenizer::AddedToken added;
  added.id = id;
  added.text = text_of(json, "content");
  added.special = flag_of(json, "special", false);
  added.normalized = flag_of(json, "normalized", !added.special);
  added.left_strip = flag_of(json, "lstrip", false);
  added.right_strip = flag_of(json, "rstrip", false);
  added.single_word = flag_of(json, "single_word", false);
  return added;
}

inline Json to_json(const tokenizer::AddedToken& added) {
  return {{"content", added.text},          {"special", added.special},
          {"normalized", added.normalized}, {"lstrip", added.left_strip},
          {"rstrip", added.right_strip},    {"single_word", added.single_word}};
}

}  // namespace thimble::text
