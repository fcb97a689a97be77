#include "eval/baseline.h"

#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::eval {
namespace {

TEST_CASE("a baseline of another schema is refused, and not written over") {
  const ScratchFolder folder;
  const std::string newer = folder.write("newer.json", R"({"schema": 2, "metrics": {}})");
  CHECK_FALSE(read_baseline(newer).has_value());
  CHECK_FALSE(write_baseline(newer, {{"size", Interval::exact(3)}}).has_value());
  const std::string own = folder.path("own.json");
  REQUIRE(write_baseline(own, {{"size", Interval::exact(3)}}));
  CHECK(read_baseline(own)->size() == 1);
}

}  // namespace
}  // namespace thimble::eval
