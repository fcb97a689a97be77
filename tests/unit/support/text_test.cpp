#include "support/text.h"

#include <cmath>

#include "unit/catch.h"

using namespace thimble;

TEST_CASE("bytes and counts") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(999) == "999 B");
  CHECK(format_bytes(1000) == "1.0 kB");
  CHECK(format_bytes(1234567) == "1.2 MB");
  CHECK(format_bytes(12345678) == "12 MB");
  CHECK(format_bytes(999499) == "999 kB");
  CHECK(format_bytes(999500) == "1.0 MB");
  CHECK(format_bytes(9949999) == "9.9 MB");
  CHECK(format_bytes(9950000) == "10 MB");
  CHECK(format_bytes(~0ull) == "18 EB");
  CHECK(format_count(999) == "999");
  CHECK(format_count(260000) == "260k");
  CHECK(format_count(7200000000) == "7.2B");
}

TEST_CASE("durations") {
  CHECK(format_duration(0.84) == "0.8s");
  CHECK(format_duration(42.2) == "42s");
  CHECK(format_duration(59.7) == "1m 00s");
  CHECK(format_duration(187) == "3m 07s");
  CHECK(format_duration(7500) == "2h 05m");
  CHECK(format_duration(NAN) == "?");
}

TEST_CASE("fixed, significant, dims and join") {
  CHECK(format_fixed(3.14159, 2) == "3.14");
  CHECK(format_fixed(-1, 0) == "-1");
  CHECK(format_fixed(NAN, 3) == "nan");
  CHECK(format_fixed(-INFINITY, 3) == "-inf");
  CHECK(format_fixed(1e308, 1).size() == 311);
  CHECK(format_significant(0.012345) == "0.0123");
  CHECK(format_significant(1.23456e-5, 6) == "1.23456e-05");
  CHECK(format_dims({2, -1, 3}) == "[2, -1, 3]");
  CHECK(format_dims({}) == "[]");
  CHECK(join({"a", "b", "c"}, ", ") == "a, b, c");
  CHECK(join({}, ", ").empty());
}
