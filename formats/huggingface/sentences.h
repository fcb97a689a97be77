#pragma once
// What sentence-transformers keeps beside an encoder: how tokens become a sentence's embedding, and
// how many of them it takes.

#include <string>

#include "ir/model.h"

namespace thimble::formats {

// How an encoder's tokens become a sentence's embedding.
struct Sentences {
  ir::Pooling pooling = ir::Pooling::kNone;
  bool normalize = true;  // to length 1
};

// From modules.json and the pooling's config.json. No pooling where the folder isn't one of theirs.
// Modules that are unknown are refused: they would change the embedding.
Expected<Sentences> read_sentences(const std::string& folder);

// sentence_bert_config.json: `max_seq_length` bounds model.max_context. `do_lower_case` is refused
// where the tokenizer, which must have been read, doesn't do it anyway. Fine without the file.
Status read_sentence_limits(const std::string& folder, ir::Model& model);

}  // namespace thimble::formats
