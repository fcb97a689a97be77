#pragma once
// What sentence-transformers keeps beside an encoder: how tokens become a sentence's embedding, and
// how many of them it takes.

#include <string>

#include "formats/all.h"
#include "ir/model.h"

namespace thimble::formats {

// 1_Pooling/config.json, unless `options` say. None where the folder isn't one of theirs.
Expected<ir::Pooling> read_pooling(const std::string& folder, const ReadOptions& options);

// sentence_bert_config.json: `max_seq_length` bounds model.max_context. `do_lower_case` is refused
// where the tokenizer, which must have been read, doesn't do it anyway. Fine without the file.
Status read_sentence_limits(const std::string& folder, ir::Model& model);

}  // namespace thimble::formats
