#include "tokenizer/tokenizer.h"

#include <algorithm>

#include "tokenizer/model.h"
#include "tokenizer/normalize.h"
#include "tokenizer/split.h"
#include "tokenizer/unicode/unicode.h"

namespace thimble::tokenizer {
namespace {

bool begins_with_word(std::string_view text) {
  const std::u32string c = unicode::decode_utf8(text.substr(0, 4));
  return !c.empty() && (unicode::is_letter(c[0]) || unicode::is_number(c[0]) || c[0] == '_');
}

bool ends_with_word(std::string_view text) {
  if (text.empty()) return false;
  std::size_t last = text.size() - 1;
  while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
  return begins_with_word(text.substr(last));
}

// Bytes of the white-space character that starts at `at`, or ends there; 0 when it is none.
std::size_t white_after(std::string_view text, std::size_t at) {
  if (at >= text.size()) return 0;
  const auto size =
      static_cast<std::size_t>(unicode::sequence_length(static_cast<unsigned char>(text[at])));
  const std::u32string c = unicode::decode_utf8(text.substr(at, size));
  return c.size() == 1 && unicode::is_white(c[0]) ? size : 0;
}
std::size_t white_before(std::string_view text, std::size_t from, std::size_t at) {
  for (std::size_t size = 1; size <= 3 && at >= from + size; ++size) {
    if (white_after(text, at - size) == size) return size;
  }
  return 0;
}

// What stays broken at the end of a text that may go on: the start of an unfinished sequence.
std::size_t unfinished(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto byte = static_cast<unsigned char>(text[text.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;
    return static_cast<std::size_t>(unicode::sequence_length(byte)) > back ? back : 0;
  }
  return 0;
}

}  // namespace

struct Tokenizer::State {
  Tables tables;
  PieceEncoder encoder;
  std::vector<bool> special;
  std::vector<const AddedToken*> raw, normalized;  // longest first
  // By step; null: it needs none.
  std::vector<std::unique_ptr<PatternMatcher>> replacers, matchers;

  explicit State(Tables t)
      : tables(std::move(t)), encoder(tables), special(tables.tokens.size(), false) {
    for (std::size_t i = 0; i < tables.tokens.size(); ++i)
      special[i] = tables.tokens[i].kind == TokenKind::kControl;
    for (const AddedToken& added : tables.added) {
      if (added.special) special[static_cast<std::size_t>(added.id)] = true;
      (added.normalized ? normalized : raw).push_back(&added);
    }
    for (auto* list : {&raw, &normalized}) {
      std::stable_sort(list->begin(), list->end(), [](const AddedToken* a, const AddedToken* b) {
        return a->text.size() > b->text.size();
      });
    }
  }

  struct Part {
    std::string text;
    std::int32_t id = -1;
  };

  const AddedToken* added_at(std::string_view text, std::size_t at,
                             const std::vector<const AddedToken*>& list, bool specials) const {
    for (const AddedToken* added : list) {
      if (added->special && !specials) continue;
      if (text.compare(at, added->text.size(), added->text) != 0) continue;
      if (added->single_word && (ends_with_word(text.substr(0, at)) ||
                                 begins_with_word(text.substr(at + added->text.size()))))
        continue;
      return added;
    }
    return nullptr;
  }

  // Cuts added tokens out of a text.
  std::vector<Part> cut(std::string_view text, const std::vector<const AddedToken*>& list,
                        bool specials) const {
    std::vector<Part> parts;
    bool starts[256] = {};
    for (const AddedToken* added : list) starts[static_cast<unsigned char>(added->text[0])] = true;
    std::size_t from = 0;
    for (std::size_t at = 0; at < text.size();) {
      const AddedToken* added = starts[static_cast<unsigned char>(text[at])]
                                    ? added_at(text, at, list, specials)
                                    : nullptr;
      if (added == nullptr) {
        ++at;
        continue;
      }
      std::size_t begin = at, end = at + added->text.size();
      while (const std::size_t size = added->left_strip ? white_before(text, from, begin) : 0)
        begin -= size;
      while (const std::size_t size = added->right_strip ? white_after(text, end) : 0) end += size;
      if (begin > from) parts.push_back({std::string(text.substr(from, begin - from))});
      parts.push_back({"", added->id});
      from = at = end;
    }
    if (from < text.size()) parts.push_back({std::string(text.substr(from))});
    return parts;
  }

  void encode_plain(const std::string& text, bool first, bool specials,
                    std::vector<std::int32_t>& out) const {
    for (Part& part : cut(normalize(text, tables.normalizers, replacers), normalized, specials)) {
      if (part.id >= 0) {
        out.push_back(part.id);
      } else {
        std::vector<std::string> pieces = {std::move(part.text)};
        for (std::size_t s = 0; s < tables.splits.size(); ++s)
          pieces = split(std::move(pieces), tables.splits[s], first, matchers[s].get());
        for (const std::string& piece : pieces) encoder.encode(piece, out);
      }
      first = false;
    }
  }

  bool decodes(Decode what) const {
    return std::find(tables.decoders.begin(), tables.decoders.end(), what) != tables.decoders.end();
  }

  // One token's text; `raw_byte` tells <0xNN> tokens.
  std::string text_of(std::int32_t id) const {
    const std::string& bytes = tables.tokens[static_cast<std::size_t>(id)].bytes;
    if (decodes(Decode::kByteFallback) && bytes.size() == 6 && bytes.starts_with("<0x") &&
        bytes.back() == '>') {
      auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; };
      return std::string(1, static_cast<char>(digit(bytes[3]) * 16 + digit(bytes[4])));
    }
    if (!decodes(Decode::kMetaspace)) return bytes;
    std::string out;
    for (std::size_t i = 0; i < bytes.size();) {
      const bool mark = bytes.compare(i, kSpaceMark.size(), kSpaceMark) == 0;
      if (mark)
        out += ' ';
      else
        out += bytes[i];
      i += mark ? kSpaceMark.size() : 1;
    }
    return out;
  }
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

Expected<Tokenizer> Tokenizer::load(std::span<const std::byte> bytes) {
  THIMBLE_ASSIGN(Tables tables, read_tables(bytes));
  return create(std::move(tables));
}

Expected<Tokenizer> Tokenizer::create(Tables tables) {
  THIMBLE_TRY(verify(tables));
  auto state = std::make_unique<State>(std::move(tables));
  for (const NormalizeStep& step : state->tables.normalizers) {
    state->replacers.emplace_back();
    if (step.what != Normalize::kReplacePattern) continue;
    THIMBLE_ASSIGN(state->replacers.back(), matcher_of(step));
  }
  for (const SplitStep& step : state->tables.splits) {
    state->matchers.emplace_back();
    if (step.what != Split::kPattern && step.what != Split::kLiteral) continue;
    THIMBLE_ASSIGN(state->matchers.back(), matcher_of(step));
  }
  return Tokenizer(std::move(state));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  const State& s = *state_;
  std::vector<std::int32_t> ids;
  if (options.add_special) ids = s.tables.prefix;
  bool first = true;
  for (const State::Part& part : s.cut(text, s.raw, options.parse_special)) {
    if (part.id >= 0)
      ids.push_back(part.id);
    else
      s.encode_plain(part.text, first, options.parse_special, ids);
    first = false;
  }
  if (options.add_special) ids.insert(ids.end(), s.tables.suffix.begin(), s.tables.suffix.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  const State& s = *state_;
  std::string out;
  bool first = true;
  for (const std::int32_t id : ids) {
    if (id < 0 || static_cast<std::size_t>(id) >= s.tables.tokens.size()) continue;
    if (skip_special && s.special[static_cast<std::size_t>(id)]) continue;
    std::string text = s.text_of(id);
    if (s.decodes(Decode::kWordPiece)) {
      const std::string& joint = s.tables.continuing_prefix;
      if (text.starts_with(joint))
        text.erase(0, joint.size());
      else if (!first)
        text.insert(0, 1, ' ');
    }
    if (first && s.decodes(Decode::kStripFirst) && text.starts_with(' ')) text.erase(0, 1);
    out += text;
    first = false;
  }
  return out;
}

std::optional<std::int32_t> Tokenizer::bos() const {
  return state_->tables.bos < 0 ? std::nullopt : std::optional(state_->tables.bos);
}
std::optional<std::int32_t> Tokenizer::eos() const {
  return state_->tables.eos < 0 ? std::nullopt : std::optional(state_->tables.eos);
}
bool Tokenizer::adds_bos() const {
  return state_->tables.bos >= 0 && !state_->tables.prefix.empty() &&
         state_->tables.prefix.front() == state_->tables.bos;
}
std::size_t Tokenizer::vocabulary() const { return state_->tables.tokens.size(); }
std::string_view Tokenizer::token_bytes(std::int32_t id) const {
  return state_->tables.tokens[static_cast<std::size_t>(id)].bytes;
}
bool Tokenizer::is_special(std::int32_t id) const {
  return state_->special[static_cast<std::size_t>(id)];
}
std::optional<std::int32_t> Tokenizer::find(std::string_view token) const {
  for (const AddedToken& added : state_->tables.added) {
    if (added.text == token) return added.id;
  }
  const std::int32_t id = state_->encoder.find(token);
  return id < 0 ? std::nullopt : std::optional(id);
}
const Tables& Tokenizer::tables() const { return state_->tables; }

std::string StreamDecoder::push(std::int32_t id) {
  ids_.push_back(id);
  const std::string context = tokenizer_.decode(std::span(ids_).first(1));
  const std::string text = tokenizer_.decode(ids_);
  if (unfinished(text) > 0) return "";  // the rest of the character comes with a later token
  ids_ = {id};
  return text.size() > context.size() ? text.substr(context.size()) : "";
}

std::string StreamDecoder::finish() {
  if (ids_.size() < 2) return "";
  const std::string context = tokenizer_.decode(std::span(ids_).first(1));
  const std::string text = tokenizer_.decode(ids_).substr(context.size());
  ids_.resize(1);
  return unicode::encode_utf8(unicode::decode_utf8(text));
}

}  // namespace thimble::tokenizer
