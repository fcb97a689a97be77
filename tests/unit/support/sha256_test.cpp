#include "support/sha256.h"

#include <string>
#include <string_view>

#include "unit/catch.h"

using namespace thimble;

namespace {
std::string sha256(std::string_view text) {
  Sha256 hasher;
  hasher.update(std::as_bytes(std::span(text)));
  return hasher.hex();
}
}  // namespace

TEST_CASE("SHA-256 of the examples of FIPS 180-4") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(std::string(1000000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 in pieces, around the lengths where the padding takes another block") {
  for (const std::size_t size : {54, 55, 56, 63, 64, 65, 119, 120, 128}) {
    const std::string text(size, 'x');
    Sha256 hasher;
    for (const char c : text) hasher.update(std::as_bytes(std::span(&c, 1)));
    CHECK(hasher.hex() == sha256(text));
  }
  // As sha256sum prints them.
  CHECK(sha256(std::string(55, 'x')) ==
        "d5e285683cd4efc02d021a5c62014694958901005d6f71e89e0989fac77e4072");
  CHECK(sha256(std::string(56, 'x')) ==
        "04c26261370ee7541549d16dee320c723e3fd14671e66a099afe0a377c16888e");
}
