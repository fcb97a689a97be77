#include "calibrate/teacher.h"

#include "formats/all.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble::calibrate {
namespace {

using Windows = std::vector<data::Window>;

Windows write(const Journal* journal, std::uint64_t seed, std::int64_t windows, int threads = 1) {
  const auto model = formats::read_model(THIMBLE_SOURCE_DIR "/tests/data/fable", {});
  REQUIRE(model.has_value());
  ThreadPool pool(threads);
  Progress progress(Progress::Style::kQuiet);
  auto made = write_windows(*model, {windows * 32, 32}, seed, "teacher", journal, pool, progress);
  REQUIRE(made.has_value());
  return *std::move(made);
}

bool same(const Windows& a, const Windows& b, std::size_t count) {
  for (std::size_t w = 0; w < count; ++w) {
    if (a.at(w).tokens != b.at(w).tokens) return false;
  }
  return true;
}

TEST_CASE("what a model writes depends on the seed and the window alone") {
  const Windows two = write(nullptr, 7, 2);
  CHECK(two.size() == 2);
  CHECK(two[0].tokens.size() == 32);
  CHECK(two[0].tokens != two[1].tokens);
  CHECK(same(two, write(nullptr, 7, 3, 2), 2));
  CHECK(!same(two, write(nullptr, 8, 2), 1));
}

TEST_CASE("windows that a journal keeps aren't written again") {
  const ScratchFolder folder;
  auto journal = Journal::open(folder.path(), "fingerprint");
  REQUIRE(journal.has_value());
  const Windows first = write(journal->get(), 7, 2);
  // A window that only the journal can know.
  std::vector<double> other(32, 5.0);
  REQUIRE((*journal)->add_figures("teacher.window.1", other));
  const Windows again = write(journal->get(), 7, 2);
  CHECK(again[0].tokens == first[0].tokens);
  CHECK(again[1].tokens == std::vector<std::int32_t>(32, 5));
}

TEST_CASE("a model that doesn't generate writes nothing") {
  ir::Model model;
  ThreadPool pool(1);
  Progress progress(Progress::Style::kQuiet);
  const auto made = write_windows(model, {64, 32}, 0, "teacher", nullptr, pool, progress);
  REQUIRE(!made.has_value());
  CHECK(made.error().message == "only a language model that generates can write its own text");
}

}  // namespace
}  // namespace thimble::calibrate
