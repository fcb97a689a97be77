// tokenizer.model: a ModelProto of SentencePiece, read by its wire format (docs of
// sentencepiece_model.proto: field 1 pieces {1 piece, 2 score, 3 type}, field 2 trainer_spec {3
// model_type, 35 byte_fallback, 40..43 ids}, field 3 normalizer_spec {2 precompiled_charsmap, 3
// add_dummy_prefix, 4 remove_extra_whitespaces, 5 escape_whitespaces}).

#include <cstring>

#include "support/wire.h"
#include "text/compile.h"
#include "text/piece_types.h"

namespace thimble::text {
namespace {

using wire::each_field;
using wire::Field;
using namespace tokenizer;  // NOLINT: this file writes its tables

std::string bytes_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Status read_piece(std::span<const std::byte> message, Tables& tables) {
  Token token;
  std::uint64_t type = 1;
  THIMBLE_TRY(each_field(message, 0, [&](const Field& field) -> Status {
    if (field.number == 1) token.bytes = bytes_of(field.bytes);
    if (field.number == 2) {
      const auto bits = static_cast<std::uint32_t>(field.value);
      std::memcpy(&token.score, &bits, sizeof bits);
    }
    if (field.number == 3) type = field.value;
    return ok();
  }));
  if (type >= std::size(kPieceKinds)) return invalid_file("a piece has an unknown type");
  token.kind = kPieceKinds[type];
  const auto id = static_cast<std::int32_t>(tables.tokens.size());
  if (token.kind == TokenKind::kUnknown) tables.unknown = id;
  if (token.kind == TokenKind::kByte) tables.byte_fallback = true;
  if (token.kind == TokenKind::kUserDefined && !token.bytes.empty())
    tables.added.push_back({id, token.bytes, false, true});
  tables.tokens.push_back(std::move(token));
  return ok();
}

struct Spec {
  std::uint64_t model_type = 1;  // 1 unigram, 2 BPE
  std::int32_t bos = 1, eos = 2;
  bool dummy_prefix = true, remove_extra = true, escape = true;
  std::string charsmap;
};

Status read_trainer(std::span<const std::byte> message, Spec& spec) {
  return each_field(message, 0, [&](const Field& field) -> Status {
    if (field.number == 3) spec.model_type = field.value;
    if (field.number == 41) spec.bos = static_cast<std::int32_t>(field.value);
    if (field.number == 42) spec.eos = static_cast<std::int32_t>(field.value);
    return ok();
  });
}

Status read_normalizer(std::span<const std::byte> message, Spec& spec) {
  return each_field(message, 0, [&](const Field& field) -> Status {
    if (field.number == 2) spec.charsmap = bytes_of(field.bytes);
    if (field.number == 3) spec.dummy_prefix = field.value != 0;
    if (field.number == 4) spec.remove_extra = field.value != 0;
    if (field.number == 5) spec.escape = field.value != 0;
    return ok();
  });
}

}  // namespace

Expected<Tables> compile_sentencepiece(std::span<const std::byte> model, const std::string& file) {
  Tables tables;
  Spec spec;
  const Status read = each_field(model, 0, [&](const Field& field) -> Status {
    if (field.number == 1) return read_piece(field.bytes, tables);
    if (field.number == 2) return read_trainer(field.bytes, spec);
    if (field.number == 3) return read_normalizer(field.bytes, spec);
    return ok();
  });
  if (!read) return Error(read.error()).in(file);
  if (spec.model_type != 1 && spec.model_type != 2)
    return unsupported("SentencePiece models are supported as BPE and unigram").in(file);
  tables.algorithm = spec.model_type == 2 ? Algorithm::kMergeScores : Algorithm::kUnigram;
  if (!spec.charsmap.empty())
    tables.normalizers.push_back({Normalize::kCharsmapLongest, spec.charsmap, ""});
  if (spec.remove_extra) {
    tables.normalizers.push_back({Normalize::kTrimStart, " ", ""});
    tables.normalizers.push_back({Normalize::kCollapseSpaces, "", ""});
  }
  if (spec.dummy_prefix) tables.normalizers.push_back({Normalize::kPrepend, " ", ""});
  if (spec.escape)
    tables.normalizers.push_back({Normalize::kReplace, " ", std::string(kSpaceMark)});
  if (spec.remove_extra)
    tables.normalizers.push_back(
        {Normalize::kTrimEnd, spec.escape ? std::string(kSpaceMark) : " ", ""});
  tables.decoders = {Decode::kByteFallback, Decode::kMetaspace};
  if (spec.dummy_prefix) tables.decoders.push_back(Decode::kStripFirst);
  tables.bos = spec.bos;
  tables.eos = spec.eos;
  tables.pre = "default";
  if (tables.bos >= 0) tables.prefix = {tables.bos};
  if (Status status = verify(tables); !status) return std::move(status).error().in(file);
  return tables;
}

}  // namespace thimble::text
