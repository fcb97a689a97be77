#pragma once
// The algorithms that turn one piece of text into token ids.

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "tokenizer/tables.h"

namespace thimble::tokenizer {

class PieceEncoder {
 public:
  explicit PieceEncoder(const Tables& tables);  // keeps a reference
  void encode(std::string_view piece, std::vector<std::int32_t>& out) const;
  std::int32_t find(std::string_view token) const;  // -1: not in the vocabulary

 private:
  struct Symbol {
    std::uint32_t begin, size;
    std::int32_t id, previous, next;
  };
  struct Candidate {
    double priority;  // lower is merged first
    std::int32_t left, right;
    std::uint32_t size;  // of both, to tell stale candidates
    std::int32_t merged;
  };
  static bool later(const Candidate& a, const Candidate& b);

  std::vector<Symbol> symbols_of(std::string_view piece) const;
  bool candidate(std::string_view piece, const std::vector<Symbol>& symbols, std::int32_t left,
                 Candidate& out) const;
  void merge(std::string_view piece, std::vector<std::int32_t>& out) const;
  void unigram(std::string_view piece, std::vector<std::int32_t>& out) const;
  void wordpiece(std::string_view piece, std::vector<std::int32_t>& out) const;
  void fall_back(std::string_view bytes, std::vector<std::int32_t>& out) const;

  struct Ranked {
    std::int32_t rank, merged;
  };
  const Tables& tables_;
  std::unordered_map<std::string_view, std::int32_t> ids_;
  std::unordered_map<std::uint64_t, Ranked> ranks_;
  std::int32_t byte_ids_[256];  // of byte-level symbols or <0xNN> tokens; -1: none
  std::size_t longest_ = 0;     // bytes of the longest token
  float unknown_score_ = 0;     // kUnigram
};

}  // namespace thimble::tokenizer
