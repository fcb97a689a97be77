#pragma once
// Compiles the tokenizers that models come with into the tables that lib/tokenizer runs from. What
// cannot be compiled is an error that names the part and what is supported; nothing is approximated
// silently.

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tables.h"

namespace thimble::text {

// Hugging Face's tokenizer.json.
Expected<tokenizer::Tables> compile_tokenizer_json(std::string_view json, const std::string& file);

// What tokenizer_config.json adds: which tokens are BOS and EOS; `bare`, to a vocabulary that isn't
// of a tokenizer.json: its added tokens, and which of BOS and EOS are put around texts.
Status apply_tokenizer_config(std::string_view json, const std::string& file, bool bare,
                              tokenizer::Tables& tables);

// SentencePiece's tokenizer.model (BPE or unigram), with Llama's BOS in front.
Expected<tokenizer::Tables> compile_sentencepiece(std::span<const std::byte> model,
                                                  const std::string& file);

// BERT's vocab.txt, and the tokenizer_config.json that says what becomes of texts before it. Empty:
// the folder has no such file.
struct WordPiece {
  std::string vocabulary, config;
};
Expected<tokenizer::Tables> compile_wordpiece(const WordPiece& files, const std::string& folder);

// vocab.json and merges.txt of byte-level BPE (GPT-2, RoBERTa, older Qwen), and the files that say
// which of their tokens are special. Empty: the folder has no such file.
struct VocabMerges {
  std::string vocabulary, merges, config, special, added;
  std::string architecture;  // of the model
};
Expected<tokenizer::Tables> compile_vocab_merges(const VocabMerges& files,
                                                 const std::string& folder);

// The vocabulary of a GGUF file, as its metadata gives it and as our writer puts it.
struct GgufVocabulary {
  std::string model;  // "llama" (SentencePiece) or "gpt2" (byte-level BPE)
  std::string pre;    // "llama-bpe", "qwen2", "smollm", "default", ...
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<std::int32_t>
      types;  // llama.cpp's: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges;  // "left right"
  std::int32_t bos = -1, eos = -1, unknown = -1, pad = -1;
  bool add_bos = false, add_eos = false, add_space_prefix = true;
};
Expected<tokenizer::Tables> compile_gguf(const GgufVocabulary& vocabulary, const std::string& file);
// The reverse, for files that llama.cpp reads.
Expected<GgufVocabulary> to_gguf(const tokenizer::Tables& tables);

// The files that a Hugging Face folder has of a tokenizer: tokenizer.json of byte-level BPE,
// tokenizer.model of SentencePiece's, and tokenizer_config.json beside it.
struct NamedFile {
  std::string name, content;
};
Expected<std::vector<NamedFile>> to_folder(const tokenizer::Tables& tables,
                                           const std::string& chat_template);

// Each token as vocabularies spell it: those of a byte-level tokenizer in GPT-2's alphabet, but for
// added ones.
std::vector<std::string> spelled_tokens(const tokenizer::Tables& tables);

// GPT-2's spelling of bytes as printable characters, and back. An error for a character outside the
// alphabet.
std::string bytes_to_alphabet(std::string_view bytes);
Expected<std::string> alphabet_to_bytes(std::string_view text);

// What base64 stands for (RFC 4648, section 4); none: it isn't that.
std::optional<std::string> base64_to_bytes(std::string_view text);

}  // namespace thimble::text
