#include "support/mistakes.h"

#include "unit/catch.h"

using namespace thimble;

namespace {

Error at(std::string message, int line, int column) {
  return Error(ErrorCode::kInvalidRecipe, std::move(message)).in("a.yaml").at_line(line, column);
}

}  // namespace

TEST_CASE("mistakes come in the order of their places, one of a place") {
  Mistakes inner;
  inner.add(at("late", 9, 1));
  inner.add(at("first", 2, 3));
  Mistakes mistakes;
  mistakes.add(ok());
  mistakes.add(at("middle", 2, 10));
  mistakes.add(std::move(inner).status());
  mistakes.add(at("what follows", 9, 1));
  const Status status = std::move(mistakes).status();
  REQUIRE(!status);
  CHECK(status.error().to_string() ==
        "a.yaml:2:3: error: first\na.yaml:2:10: error: middle\na.yaml:9:1: error: late");
}

TEST_CASE("mistakes: a value is taken, or its error is") {
  Mistakes mistakes;
  int number = 0;
  mistakes.take(Expected<int>(3), number);
  CHECK(number == 3);
  mistakes.take(Expected<int>(at("no number", 1, 1)), number);
  CHECK(number == 3);
  CHECK(std::move(mistakes).status().error().message == "no number");
  CHECK(Mistakes().status());
}

TEST_CASE("mistakes: twenty are told and the others counted") {
  Mistakes mistakes;
  for (int line = 1; line <= 25; ++line) mistakes.add(at("wrong", line, 1));
  const std::string text = std::move(mistakes).status().error().to_string();
  CHECK(text.ends_with("\na.yaml:20:1: error: wrong\nand 5 more"));
}
