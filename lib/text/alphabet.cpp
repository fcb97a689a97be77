#include <array>
#include <unordered_map>

#include "text/compile.h"
#include "tokenizer/unicode/unicode.h"

namespace thimble::text {
namespace {

// Printable Latin-1 bytes stand for themselves, the others for 256 and up in order.
struct Alphabet {
  std::array<char32_t, 256> character{};
  std::unordered_map<char32_t, unsigned char> byte;
  Alphabet() {
    char32_t next = 256;
    for (int b = 0; b < 256; ++b) {
      const bool printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      character[static_cast<std::size_t>(b)] = printable ? static_cast<char32_t>(b) : next++;
      byte[character[static_cast<std::size_t>(b)]] = static_cast<unsigned char>(b);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet kAlphabet;
  return kAlphabet;
}

}  // namespace

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string out;
  for (const char c : bytes)
    unicode::append_utf8(alphabet().character[static_cast<unsigned char>(c)], out);
  return out;
}

Expected<std::string> alphabet_to_bytes(std::string_view text) {
  std::string out;
  for (const char32_t c : unicode::decode_utf8(text)) {
    const auto at = alphabet().byte.find(c);
    if (at == alphabet().byte.end())
      return invalid_file("a token is not spelt in the byte alphabet");
    out += static_cast<char>(at->second);
  }
  return out;
}

std::vector<std::string> spelled_tokens(const tokenizer::Tables& tables) {
  std::vector<bool> added(tables.tokens.size(), false);
  for (const tokenizer::AddedToken& token : tables.added)
    added[static_cast<std::size_t>(token.id)] = true;
  std::vector<std::string> out;
  for (std::size_t i = 0; i < tables.tokens.size(); ++i) {
    const std::string& bytes = tables.tokens[i].bytes;
    out.push_back(tables.byte_level && !added[i] ? bytes_to_alphabet(bytes) : bytes);
  }
  return out;
}

}  // namespace thimble::text
