#include "support/error.h"

#include <cerrno>
#include <limits>

#include "support/checked.h"
#include "support/cursor.h"
#include "support/expected.h"
#include "unit/catch.h"

using namespace thimble;

TEST_CASE("the one text form") {
  const std::string unknown_key =
      Error(ErrorCode::kInvalidRecipe, "unknown key 'sparcity' (did you mean 'sparsity'?)")
          .in("recipe.yaml")
          .at_line(9, 7)
          .to_string();
  CHECK(unknown_key == "recipe.yaml:9:7: error: unknown key 'sparcity' (did you mean 'sparsity'?)");

  const std::string full = invalid_file("shape needs 12 bytes, the file has 4")
                               .in("model.safetensors")
                               .at_offset(4096)
                               .at_tensor("lm_head.weight")
                               .note("while reading the header")
                               .note("while loading the model")
                               .fix("download the file again")
                               .to_string();
  CHECK(full ==
        "model.safetensors: error: shape needs 12 bytes, the file has 4 (tensor 'lm_head.weight', "
        "byte "
        "4096)\n"
        "  note: while reading the header\n"
        "  note: while loading the model\n"
        "  remedy: download the file again");

  CHECK(unsupported("no such thing").to_string() == "error: no such thing");
  CHECK(invalid_file("odd").at_offset(0).to_string() == "error: odd (byte 0)");
  CHECK(Error(ErrorCode::kUsage, "x").at_line(3, 0).to_string() == "line 3: error: x");
}

TEST_CASE("the file set first stays") {
  CHECK(invalid_file("x").in("inner").in("outer").place.file == "inner");
}

TEST_CASE("text from hostile files can't drive the terminal") {
  const std::string text = invalid_file("bad\nname").at_tensor("a\x1b[2Jb").to_string();
  CHECK(text == "error: bad\\x0aname (tensor 'a\\x1b[2Jb')");
  CHECK(invalid_file("x").at_tensor(std::string(100000, 'n')).to_string().size() < 300);
  CHECK(invalid_file("Grüße").to_string() == "error: Grüße");
}

TEST_CASE("exit statuses and code names") {
  CHECK(exit_status(ErrorCode::kInvalidFile) == 1);
  CHECK(exit_status(ErrorCode::kNotFound) == 1);
  CHECK(exit_status(ErrorCode::kUsage) == 2);
  CHECK(exit_status(ErrorCode::kGateFailed) == 3);
  CHECK(exit_status(ErrorCode::kIo) == 4);
  CHECK(exit_status(ErrorCode::kResource) == 4);
  CHECK(exit_status(ErrorCode::kInterrupted) == 130);
  CHECK(code_name(ErrorCode::kInvalidRecipe) == "invalid_recipe");
}

TEST_CASE("errno decides the code") {
  CHECK(io_error("cannot open", ENOENT).code == ErrorCode::kNotFound);
  CHECK(io_error("cannot open", EACCES).code == ErrorCode::kInvalidArgument);
  CHECK(io_error("cannot map", ENOMEM).code == ErrorCode::kResource);
  CHECK(io_error("cannot read", EIO).code == ErrorCode::kIo);
  CHECK(io_error("cannot open", ENOENT).message == "cannot open: No such file or directory");
  CHECK_FALSE(io_error("cannot write", ENOSPC).remedy.empty());
}

TEST_CASE("nearest") {
  const std::vector<std::string> keys = {"sparsity", "bits", "group_size", "seed"};
  CHECK(nearest("sparcity", keys) == "sparsity");
  CHECK(nearest("groupsize", keys) == "group_size");
  CHECK(nearest("bit", keys) == "bits");
  CHECK(nearest("temperature", keys).empty());
  CHECK(nearest("", keys).empty());
  CHECK(nearest("x", {"y"}).empty());
  CHECK(nearest(std::string(10000, 'a'), keys).empty());
}

namespace {

Expected<int> half_of(int x) {
  if (x % 2 != 0) return invalid_argument("odd");
  return x / 2;
}

Expected<int> quarter_of(int x) {
  THIMBLE_ASSIGN(const int half, half_of(x));
  THIMBLE_ASSIGN(const int quarter, half_of(half));
  return quarter;
}

Status needs_even(int x) {
  THIMBLE_TRY(half_of(x));
  return ok();
}

}  // namespace

TEST_CASE("Expected and Status hand errors up") {
  CHECK(*quarter_of(12) == 3);
  CHECK(quarter_of(6).error().message == "odd");
  CHECK(needs_even(2));
  CHECK_FALSE(needs_even(3));
  CHECK(needs_even(3).error().code == ErrorCode::kInvalidArgument);
}

TEST_CASE("checked arithmetic") {
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  CHECK(checked_add<std::uint64_t>(kMax - 1, 1) == kMax);
  CHECK_FALSE(checked_add<std::uint64_t>(kMax, 1));
  CHECK_FALSE(checked_mul<std::int32_t>(1 << 20, 1 << 20));
  CHECK(checked_round_up<std::uint64_t>(65, 64) == 128u);
  CHECK_FALSE(checked_round_up<std::uint64_t>(kMax - 3, 64));
  CHECK(range_inside(10, 0, 10));
  CHECK_FALSE(range_inside(11, 0, 10));
  CHECK_FALSE(range_inside(5, kMax, 10));
  CHECK_FALSE(checked_cast<std::uint8_t>(256));
  CHECK(ceil_div(7, 2) == 4);
}

TEST_CASE("a cursor never leaves its bytes") {
  const std::uint8_t raw[] = {1, 0, 0, 0, 'a', 'b', 9};
  Cursor cursor(std::as_bytes(std::span(raw)), 100);
  CHECK(*cursor.read<std::uint32_t>() == 1);
  CHECK(*cursor.read_text(2) == "ab");
  CHECK(cursor.offset() == 106);
  const auto failed = cursor.read<std::uint16_t>();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().to_string() == "error: truncated: 2 bytes wanted, 1 left (byte 106)");
  CHECK_FALSE(cursor.read_bytes(std::numeric_limits<std::uint64_t>::max()));
  CHECK_FALSE(cursor.skip(2));
  CHECK(cursor.skip(1));
  CHECK(cursor.remaining() == 0);
}
