#include <cstring>
#include <fstream>

#include "data/npz.h"
#include "data/text.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::data {
namespace {

// Every byte is a token; BOS is 256.
tokenizer::Tokenizer bytes_tokenizer() {
  tokenizer::Tables tables;
  tables.byte_level = true;
  for (int b = 0; b < 256; ++b) tables.tokens.push_back({std::string(1, static_cast<char>(b))});
  tables.tokens.push_back({"<bos>", 0, tokenizer::TokenKind::kControl});
  tables.bos = 256;
  tables.prefix = {256};
  return std::move(*tokenizer::Tokenizer::create(std::move(tables)));
}

TEST_CASE("windows follow llama.cpp's convention") {
  const auto tokenizer = bytes_tokenizer();
  const auto windows = make_windows("abcdefghijklmnopqrs", tokenizer, {.context = 8});
  REQUIRE(windows.has_value());
  REQUIRE(windows->size() == 2);  // 20 tokens with BOS: the last four are dropped
  CHECK((*windows)[0].tokens == std::vector<std::int32_t>{256, 'a', 'b', 'c', 'd', 'e', 'f', 'g'});
  CHECK((*windows)[1].tokens == std::vector<std::int32_t>{256, 'i', 'j', 'k', 'l', 'm', 'n', 'o'});
  CHECK((*windows)[1].first_scored == 5);
  CHECK_FALSE(make_windows("abc", tokenizer, {.context = 8}).has_value());
}

TEST_CASE("with a stride every token but the first is scored once") {
  const auto windows =
      make_windows("abcdefghijklmnopqrs", bytes_tokenizer(), {.context = 8, .stride = 3});
  REQUIRE(windows.has_value());
  std::int64_t scored = 0;
  for (const Window& window : *windows)
    scored += static_cast<std::int64_t>(window.tokens.size()) - window.first_scored;
  CHECK(scored == 19);
}

TEST_CASE("arrays come back from npz, and damaged files are refused") {
  const ScratchFolder folder;
  const std::string path = folder.path("a.npz");
  Array array{"x", "<f4", {2, 3}, std::vector<std::byte>(24)};
  const float values[] = {1, 2, 3, 4, 5, 6};
  std::memcpy(array.bytes.data(), values, sizeof values);
  REQUIRE(write_npz(path, {array, {"empty", "<i8", {0}, {}}}).has_value());
  const auto back = read_npz(path);
  REQUIRE(back.has_value());
  REQUIRE(back->size() == 2);
  CHECK((*back)[0].dims == array.dims);
  CHECK((*back)[0].bytes == array.bytes);
  std::ifstream file(path, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  for (std::size_t cut = 0; cut < whole.size(); cut += 7) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, cut);
    CHECK_FALSE(read_npz(path).has_value());
  }
  std::string flipped = whole;
  flipped[whole.find("NUMPY") + 120] ^= 1;
  std::ofstream(path, std::ios::binary) << flipped;
  CHECK_FALSE(read_npz(path).has_value());
}

}  // namespace
}  // namespace thimble::data
