#pragma once
// SentencePiece's numbers of what a piece is, which GGUF has taken over.

#include <cstdint>

#include "tokenizer/tables.h"

namespace thimble::text {

inline constexpr tokenizer::TokenKind kPieceKinds[] = {
    tokenizer::TokenKind::kNormal,      tokenizer::TokenKind::kNormal,
    tokenizer::TokenKind::kUnknown,     tokenizer::TokenKind::kControl,
    tokenizer::TokenKind::kUserDefined, tokenizer::TokenKind::kUnused,
    tokenizer::TokenKind::kByte};

inline std::int32_t piece_type(tokenizer::TokenKind kind) {
  std::int32_t type = 1;
  while (kPieceKinds[type] != kind) ++type;
  return type;
}

}  // namespace thimble::text
