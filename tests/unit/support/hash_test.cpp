#include "support/hash.h"

#include <vector>

#include "unit/catch.h"

using namespace thimble;

TEST_CASE("XXH3-128 of known inputs") {
  // As `xxhsum -H128` prints them.
  CHECK(digest_of("").hex() == "99aa06d3014798d86001c324468d497f");
  CHECK(digest_of("abc").hex() == "06b05ab6733a618578af5f94892f3950");
}

TEST_CASE("pieces give the digest of the whole") {
  std::vector<std::byte> bytes(100000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i >> 3);
  const Digest whole = digest_of(bytes);
  for (const std::size_t piece : {1, 63, 240, 1024, 99999}) {
    Hasher hasher;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      hasher.update(std::span(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    }
    CHECK(hasher.finish() == whole);
  }
  Hasher text;
  text.update("ab");
  text.update("");
  text.update("c");
  CHECK(text.finish() == digest_of("abc"));
  bytes[50000] ^= std::byte{1};
  CHECK_FALSE(digest_of(bytes) == whole);
}
