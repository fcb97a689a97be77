#include "ir/dim.h"

#include <limits>

#include "unit/catch.h"

using thimble::ir::Dim;

namespace {
Dim dim(const char* text) { return Dim::parse_or_check(text); }
}  // namespace

TEST_CASE("dimensions have one normal form") {
  const Dim seq = Dim::symbol("seq"), past = Dim::symbol("past");
  CHECK((seq + past).to_string() == "past + seq");
  CHECK(seq + past == past + seq);
  CHECK((seq + seq + Dim(3)).to_string() == "2*seq + 3");
  CHECK((seq - seq) == Dim(0));
  CHECK((seq - Dim(1)).to_string() == "seq - 1");
  CHECK((Dim(0) - seq).to_string() == "-seq");
  CHECK((seq + past) * (seq - past) == seq * seq - past * past);
  CHECK(Dim(0).to_string() == "0");
  CHECK(Dim(5).constant() == 5);
  CHECK_FALSE(seq.constant().has_value());
  CHECK((seq * past + seq).symbols() == std::vector<std::string>{"past", "seq"});
}

TEST_CASE("division takes out what divides and keeps the rest") {
  const Dim n = Dim::symbol("n"), m = Dim::symbol("m");
  CHECK(Dim::floor_div(Dim(6) * n, 3) == Dim(2) * n);
  CHECK(Dim::floor_div(n * m * Dim(64), Dim(64) * m) == n);
  CHECK(Dim::floor_div(Dim(2) * n + Dim(1), 2) == n);
  CHECK(Dim::floor_div(n + Dim(1), 2).to_string() == "floor((n + 1) / 2)");
  CHECK(Dim::floor_div(n + m, n + m) == Dim(1));
  CHECK(Dim::floor_div(-7, 2) == Dim(-4));
}

TEST_CASE("max folds where the difference is a number") {
  const Dim n = Dim::symbol("n"), m = Dim::symbol("m");
  CHECK(Dim::max(n, n + Dim(2)) == n + Dim(2));
  CHECK(Dim::max(3, 4) == Dim(4));
  CHECK(Dim::max(n, m) == Dim::max(m, n));
  CHECK(Dim::max(n, m).to_string() == "max(m, n)");
}

TEST_CASE("parse is the inverse of to_string") {
  for (const char* text : {"128", "0", "batch", "past + seq", "2*seq + 3", "-seq + 1",
                           "floor((n + 1) / 2)", "a*b*floor(width / 2)", "max(a, b + 1) - 4",
                           "floor(floor((w + 1) / 2) / (h + 1))", "_x.1*y"}) {
    INFO(text);
    CHECK(dim(text).to_string() == text);
  }
  CHECK(dim("seq * (past + 2)") == dim("2*seq + past*seq"));
  for (const char* bad :
       {"", "2x", "a +", "(a", "floor(a, b)", "max(a)", "a b", "9999999999999999999", "a//b"}) {
    INFO(bad);
    CHECK_FALSE(Dim::parse(bad).has_value());
  }
  CHECK_FALSE(Dim::parse(std::string(100000, '(')).has_value());
}

TEST_CASE("evaluation binds every symbol or says which one is missing") {
  const Dim size = dim("2*seq + floor(past / 3) - max(past, 4)");
  CHECK(*size.evaluate({{"seq", 5}, {"past", 7}}) == 10 + 2 - 7);
  const auto missing = size.evaluate({{"seq", 5}});
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().message.find("'past'") != std::string::npos);
  CHECK_FALSE(dim("floor(4 / n)").evaluate({{"n", 0}}).has_value());
  CHECK(size.substitute({{"past", 7}}) == dim("2*seq - 5"));
}

TEST_CASE("overflow and explosion are errors at evaluation, not wrong numbers") {
  const Dim huge = std::numeric_limits<std::int64_t>::max();
  const Dim n = Dim::symbol("n");
  CHECK_FALSE((huge + Dim(1)).evaluate({}).has_value());
  CHECK_FALSE((huge * n * Dim(2)).evaluate({{"n", 1}}).has_value());
  CHECK_FALSE((huge * n).evaluate({{"n", 2}}).has_value());
  Dim many = 1;
  for (int i = 0; i < 12; ++i) many = many * (Dim::symbol("s" + std::to_string(i)) + Dim(1));
  CHECK(many.terms().size() == 1);
  CHECK_FALSE(many.evaluate({}).has_value());
  Dim deep = n;
  for (int i = 0; i < 3000; ++i) deep = Dim::floor_div(deep + Dim(1), 2);
  CHECK(deep.to_string().size() < 5000);
  CHECK_FALSE(Dim::floor_div(std::numeric_limits<std::int64_t>::min(), -1).constant().has_value());
}

TEST_CASE("the larger of two sizes is settled where it is certain") {
  const Dim n = Dim::symbol("n"), m = Dim::symbol("m");
  const Dim least = n + Dim(512) - Dim::max(n, 512);  // of n and 512
  CHECK(Dim::max(0, n) == n);
  CHECK(Dim::max(n, n + m) == n + m);
  CHECK(Dim::max(least, n) == n);
  CHECK(Dim::max(512, least) == Dim(512));
  CHECK(Dim::max(least, 4).to_string() != Dim(4).to_string());
  CHECK(Dim::max(Dim::max(n, m), m) == Dim::max(n, m));
  Dim nested = n;
  for (int i = 0; i < 60; ++i)
    nested = Dim::max(nested - Dim(i), Dim::symbol("s" + std::to_string(i)));
  CHECK(nested.to_string().size() < 5000);
}
