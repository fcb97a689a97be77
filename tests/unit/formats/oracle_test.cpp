// Every architecture against the logits that PyTorch transformers computed
// (scripts/oracle/tiny_models.py): the models themselves, and copies with one configuration value
// changed.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>

#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "formats/all.h"
#include "lower/lower.h"
#include "runtime/generate.h"
#include "unit/catch.h"
#include "unit/support/scratch_folder.h"

namespace thimble {
namespace {

namespace fs = std::filesystem;

const fs::path kOracle = fs::path(THIMBLE_SOURCE_DIR) / "tests/data/oracle";

using Rows = std::map<std::int64_t, std::vector<float>>;  // by position

template <class T>
T value(Expected<T> expected) {
  if (!expected) FAIL(expected.error().to_string());
  return std::move(*expected);
}

std::vector<std::int64_t> integers(const data::Array& array) {
  const auto* p = reinterpret_cast<const std::int64_t*>(array.bytes.data());
  return {p, p + array.count()};
}
std::vector<float> floats(const data::Array& array) {
  const auto* p = reinterpret_cast<const float*>(array.bytes.data());
  return {p, p + array.count()};
}

Rows run_decoder(const program::Bundle& bundle, ThreadPool& pool,
                 const std::vector<std::int64_t>& ids, std::int64_t chunk) {
  runtime::SessionOptions options;
  options.cache_from_program = false;
  const auto decoder = value(runtime::Decoder::create(bundle, pool, options));
  const std::vector<std::int32_t> tokens(ids.begin(), ids.end());
  Rows rows;
  for (std::size_t at = 0; at < tokens.size(); at += static_cast<std::size_t>(chunk)) {
    const auto part = std::span(tokens).subspan(
        at, std::min(static_cast<std::size_t>(chunk), tokens.size() - at));
    const Status fed =
        decoder->feed_all(part, 0, [&](std::int64_t position, std::span<const float> logits) {
          rows[static_cast<std::int64_t>(at) + position] = {logits.begin(), logits.end()};
        });
    REQUIRE(fed.has_value());
  }
  return rows;
}

Rows run_encoder(const program::Bundle& bundle, ThreadPool& pool,
                 const std::vector<std::int64_t>& ids) {
  const auto session = value(runtime::Session::create(bundle, pool));
  const auto length = static_cast<std::int64_t>(ids.size());
  const std::vector<std::int64_t> ones(ids.size(), 1), zeros(ids.size(), 0);
  std::vector<runtime::TensorView> inputs;
  for (const std::int32_t slot : bundle.program.regions[0].inputs) {
    const std::string& name = bundle.program.slot(slot).name;
    const auto& from = name == "input_ids" ? ids : name == "attention_mask" ? ones : zeros;
    inputs.push_back({program::Type::kI64, {1, length}, from.data()});
  }
  REQUIRE(session->run(inputs).has_value());
  const runtime::TensorView& hidden = session->outputs().front();
  Rows rows;
  for (std::int64_t i = 0; i < length; ++i) {
    const float* row = static_cast<const float*>(hidden.data) + i * hidden.dims.back();
    rows[i] = {row, row + hidden.dims.back()};
  }
  return rows;
}

Rows run(const fs::path& folder, const std::vector<std::int64_t>& ids, std::int64_t chunk) {
  ThreadPool pool(2);
  const ir::Model model = value(formats::read_model(folder.string(), {}));
  const program::Bundle bundle = value(lower::load(model, pool));
  return model.task == ir::Task::kGenerate ? run_decoder(bundle, pool, ids, chunk)
                                           : run_encoder(bundle, pool, ids);
}

// The largest error over the range of what is expected.
double error_of(const std::vector<float>& got, const float* expected, double range) {
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(got[i]) - expected[i]));
  return worst / range;
}

double range_of(const std::vector<float>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return static_cast<double>(*high) - *low;
}

void patch(nlohmann::json& config, const std::string& change) {
  const auto equals = change.find('=');
  std::string path = "/" + change.substr(0, equals);
  std::replace(path.begin(), path.end(), '.', '/');
  const std::string text = change.substr(equals + 1);
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  config[nlohmann::json::json_pointer(path)] =
      parsed.is_discarded() ? nlohmann::json(text) : parsed;
}

struct Fixture {
  std::vector<std::int64_t> ids, positions;
  std::vector<float> logits;
  std::size_t width() const { return logits.size() / positions.size(); }
};

Fixture fixture_of(const fs::path& folder) {
  const auto arrays = value(data::read_npz((folder / "expected.npz").string()));
  return {integers(*data::find(arrays, "input_ids")), integers(*data::find(arrays, "positions")),
          floats(*data::find(arrays, "logits"))};
}

std::vector<std::string> folders() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(kOracle)) {
    if (fs::exists(entry.path() / "expected.npz")) out.push_back(entry.path().filename().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

constexpr double kBar = 1e-4;

TEST_CASE("every architecture gives the logits of transformers") {
  REQUIRE(folders().size() >= 16);
  for (const std::string& name : folders()) {
    DYNAMIC_SECTION(name) {
      const Fixture fixture = fixture_of(kOracle / name);
      const Rows rows = run(kOracle / name, fixture.ids, 512);
      for (std::size_t i = 0; i < fixture.positions.size(); ++i) {
        CAPTURE(fixture.positions[i]);
        CHECK(error_of(rows.at(fixture.positions[i]), fixture.logits.data() + i * fixture.width(),
                       range_of(fixture.logits)) <= kBar);
      }
    }
  }
}

TEST_CASE("a text in chunks gives the same bits as in one piece") {
  for (const char* name : {"llama", "mistral", "gemma2"}) {
    const Fixture fixture = fixture_of(kOracle / name);
    const Rows whole = run(kOracle / name, fixture.ids, 512);
    CHECK(run(kOracle / name, fixture.ids, 7) == whole);
    CHECK(run(kOracle / name, fixture.ids, 1) == whole);
  }
}

TEST_CASE("learnt positions end, and what needs more of them is refused at once") {
  ThreadPool pool(1);
  const ir::Model model = value(formats::read_model((kOracle / "gpt2").string(), {}));
  const program::Bundle bundle = value(lower::load(model, pool));
  CHECK(runtime::learnt_positions(bundle.program) == 128);
  runtime::SessionOptions options;
  options.max_context = 129;
  const auto beyond = runtime::Decoder::create(bundle, pool, options);
  REQUIRE_FALSE(beyond);
  CHECK(beyond.error().message ==
        "the model has learnt 128 positions; a context of 129 tokens is beyond them");

  const auto decoder = value(runtime::Decoder::create(bundle, pool));
  const std::vector<std::int32_t> tokens(129, 5);
  CHECK_FALSE(decoder->feed(tokens));
  CHECK(decoder->cached() == 0);
  CHECK(decoder->feed(std::span(tokens).first(128)));
  CHECK_FALSE(decoder->feed(std::span(tokens).first(1)));

  const ir::Model rotary = value(formats::read_model((kOracle / "llama").string(), {}));
  CHECK(runtime::learnt_positions(value(lower::load(rotary, pool)).program) == 0);
}

TEST_CASE("a changed configuration changes the logits as it changes theirs") {
  const ScratchFolder scratch;
  const fs::path work = scratch.path();
  for (const std::string& name : folders()) {
    std::ifstream list(kOracle / name / "variants.json");
    const auto changes = nlohmann::json::parse(list);
    const auto expected = value(data::read_npz((kOracle / name / "variants.npz").string()));
    const Fixture fixture = fixture_of(kOracle / name);
    for (std::size_t i = 0; i < changes.size(); ++i) {
      const std::string change = changes[i].get<std::string>();
      CAPTURE(name, change);
      fs::copy_file(kOracle / name / "model.safetensors", work / "model.safetensors",
                    fs::copy_options::overwrite_existing);
      auto config = nlohmann::json::parse(std::ifstream(kOracle / name / "config.json"));
      patch(config, change);
      std::ofstream(work / "config.json") << config.dump();
      const Rows rows = run(work, fixture.ids, 512);
      const auto wanted = floats(*data::find(expected, "v" + std::to_string(i)));
      CHECK(error_of(rows.rbegin()->second, wanted.data(), range_of(wanted)) <= 10 * kBar);
      const std::vector<float> before(
          fixture.logits.end() - static_cast<std::ptrdiff_t>(fixture.width()),
          fixture.logits.end());
      CHECK(error_of(rows.rbegin()->second, before.data(), range_of(before)) > kBar);
    }
  }
}

}  // namespace
}  // namespace thimble
