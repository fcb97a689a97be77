#include "tokenizer/tables.h"

#include "support/cursor.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/pattern.h"

namespace thimble::tokenizer {
namespace {

constexpr std::uint32_t kMagic = 0x4b4f5454;  // "TTOK"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kMaxTokens = 2'000'000;
constexpr std::size_t kMaxText = 65536, kMaxCharsmap = 1 << 22;

bool is_charsmap(Normalize what) {
  return what == Normalize::kCharsmapClusters || what == Normalize::kCharsmapLongest;
}

// One description of the layout serves writing and reading: `Stream` is a Writer or a Reader.
class Writer {
 public:
  template <class T>
  Status value(const T& v) {
    const auto* p = reinterpret_cast<const std::byte*>(&v);
    bytes.insert(bytes.end(), p, p + sizeof(T));
    return ok();
  }
  Status text(const std::string& s, std::size_t = 0) {
    THIMBLE_TRY(value(static_cast<std::uint32_t>(s.size())));
    const auto* p = reinterpret_cast<const std::byte*>(s.data());
    bytes.insert(bytes.end(), p, p + s.size());
    return ok();
  }
  template <class T, class F>
  Status list(const std::vector<T>& items, std::size_t, F each) {
    THIMBLE_TRY(value(static_cast<std::uint32_t>(items.size())));
    for (const T& item : items) THIMBLE_TRY(each(*this, const_cast<T&>(item)));
    return ok();
  }
  std::vector<std::byte> bytes;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : cursor(bytes) {}
  template <class T>
  Status value(T& v) {
    if constexpr (std::is_same_v<T, bool>) {
      THIMBLE_ASSIGN(const auto raw, cursor.read<std::uint8_t>());
      v = raw != 0;
    } else {
      THIMBLE_ASSIGN(v, cursor.read<T>());
    }
    return ok();
  }
  Status text(std::string& s, std::size_t most = kMaxText) {
    THIMBLE_ASSIGN(const auto size, cursor.read<std::uint32_t>());
    if (size > most)
      return invalid_file("a tokenizer's text is too long").at_offset(cursor.offset());
    THIMBLE_ASSIGN(const auto view, cursor.read_text(size));
    s = std::string(view);
    return ok();
  }
  // Every item takes at least `least` bytes, so a count that the rest cannot hold is refused before
  // allocating.
  template <class T, class F>
  Status list(std::vector<T>& items, std::size_t least, F each) {
    THIMBLE_ASSIGN(const auto count, cursor.read<std::uint32_t>());
    if (count > cursor.remaining() / least)
      return invalid_file("a tokenizer's list is longer than its bytes").at_offset(cursor.offset());
    items.resize(count);
    for (T& item : items) THIMBLE_TRY(each(*this, item));
    return ok();
  }
  Cursor cursor;
};

template <class Stream>
Status transfer(Stream& s, Tables& t) {
  THIMBLE_TRY(s.value(t.algorithm));
  THIMBLE_TRY(s.list(t.tokens, 9, [](auto& o, Token& x) -> Status {
    THIMBLE_TRY(o.text(x.bytes));
    THIMBLE_TRY(o.value(x.score));
    return o.value(x.kind);
  }));
  THIMBLE_TRY(s.list(t.merges, 12, [](auto& o, Merge& x) -> Status { return o.value(x); }));
  THIMBLE_TRY(s.list(t.added, 13, [](auto& o, AddedToken& x) -> Status {
    THIMBLE_TRY(o.value(x.id));
    THIMBLE_TRY(o.text(x.text));
    for (bool* flag : {&x.special, &x.normalized, &x.left_strip, &x.right_strip, &x.single_word})
      THIMBLE_TRY(o.value(*flag));
    return ok();
  }));
  THIMBLE_TRY(s.list(t.normalizers, 9, [](auto& o, NormalizeStep& x) -> Status {
    THIMBLE_TRY(o.value(x.what));
    THIMBLE_TRY(o.text(x.a, is_charsmap(x.what) ? kMaxCharsmap : kMaxText));
    return o.text(x.b);
  }));
  THIMBLE_TRY(s.list(t.splits, 5, [](auto& o, SplitStep& x) -> Status {
    THIMBLE_TRY(o.value(x.what));
    return o.text(x.a);
  }));
  THIMBLE_TRY(s.list(t.decoders, 1, [](auto& o, Decode& x) -> Status { return o.value(x); }));
  for (bool* flag : {&t.byte_level, &t.byte_fallback, &t.ignore_merges})
    THIMBLE_TRY(s.value(*flag));
  for (auto* ids : {&t.prefix, &t.suffix}) {
    THIMBLE_TRY(s.list(*ids, 4, [](auto& o, std::int32_t& x) -> Status { return o.value(x); }));
  }
  for (std::int32_t* id : {&t.bos, &t.eos, &t.unknown, &t.pad}) THIMBLE_TRY(s.value(*id));
  THIMBLE_TRY(s.text(t.continuing_prefix));
  THIMBLE_TRY(s.value(t.max_word));
  return s.text(t.pre);
}

}  // namespace

Status verify(const Tables& t) {
  const auto count = static_cast<std::int32_t>(t.tokens.size());
  auto valid = [&](std::int32_t id) { return id >= 0 && id < count; };
  auto optional = [&](std::int32_t id) { return id == -1 || valid(id); };
  if (t.tokens.empty() || t.tokens.size() > kMaxTokens)
    return invalid_file("a tokenizer has between 1 and 2,000,000 tokens");
  if (t.algorithm > Algorithm::kWordPiece) return invalid_file("an unknown kind of tokenizer");
  for (const Token& token : t.tokens) {
    if (token.kind > TokenKind::kUnused || token.bytes.size() > kMaxText)
      return invalid_file("a token is damaged");
  }
  for (const Merge& merge : t.merges) {
    if (!valid(merge.left) || !valid(merge.right) || !valid(merge.merged))
      return invalid_file("a merge names a token that isn't there");
  }
  for (const AddedToken& added : t.added) {
    if (!valid(added.id) || added.text.empty())
      return invalid_file("an added token is empty, or isn't in the vocabulary");
  }
  for (const NormalizeStep& step : t.normalizers) {
    if (step.what > Normalize::kReplacePattern) return invalid_file("an unknown normalizer");
    if (is_charsmap(step.what) && !Charsmap::of(step.a))
      return invalid_file("a tokenizer's table of replacements is damaged");
    const bool needs_text = step.what == Normalize::kReplace ||
                            step.what == Normalize::kReplacePattern ||
                            step.what == Normalize::kTrimStart || step.what == Normalize::kTrimEnd;
    if (needs_text && step.a.empty()) return invalid_file("a replacement of nothing");
  }
  for (const SplitStep& step : t.splits) {
    if (step.what > Split::kPrefixSpace) return invalid_file("an unknown pre-tokenizer");
    const bool at_text = step.what == Split::kPattern || step.what == Split::kLiteral;
    if (at_text && !is_pattern_step(step))
      return invalid_file("a pre-tokenizer's pattern is damaged");
  }
  for (const Decode step : t.decoders) {
    if (step > Decode::kByteFallback) return invalid_file("an unknown decoder");
  }
  for (const auto* ids : {&t.prefix, &t.suffix}) {
    for (const std::int32_t id : *ids) {
      if (!valid(id)) return invalid_file("a special token isn't in the vocabulary");
    }
  }
  if (!optional(t.bos) || !optional(t.eos) || !optional(t.unknown) || !optional(t.pad))
    return invalid_file("a special token isn't in the vocabulary");
  return ok();
}

std::vector<std::byte> write_tables(const Tables& tables) {
  Writer writer;
  (void)writer.value(kMagic);
  (void)writer.value(kVersion);
  const Status written = transfer(writer, const_cast<Tables&>(tables));
  THIMBLE_CHECK(written.has_value(), "writing to memory does not fail");
  return std::move(writer.bytes);
}

Expected<Tables> read_tables(std::span<const std::byte> bytes) {
  Reader reader(bytes);
  std::uint32_t magic = 0, version = 0;
  THIMBLE_TRY(reader.value(magic));
  THIMBLE_TRY(reader.value(version));
  if (magic != kMagic) return invalid_file("not a tokenizer");
  if (version != kVersion)
    return unsupported("tokenizer version " + std::to_string(version) + " is not known");
  Tables tables;
  THIMBLE_TRY(transfer(reader, tables));
  THIMBLE_TRY(verify(tables));
  return tables;
}

}  // namespace thimble::tokenizer
