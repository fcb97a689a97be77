// Real ONNX models give what ONNX Runtime gave for them: scripts/oracle/onnx_models.py wrote the
// inputs and outputs. The models themselves lie outside of the repository, but for small ones that
// measure their inputs as they run (scripts/oracle/dynamic_models.py), or that its exporters and
// quantizers write (scripts/oracle/exported_models.py).

#include <cmath>
#include <filesystem>

#include "data/wav.h"
#include "eval/arrays.h"
#include "eval/carry.h"
#include "formats/all.h"
#include "lower/lower.h"
#include "unit/catch.h"

namespace thimble::formats {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(THIMBLE_SHARED_DIR) / "data/onnx";
const fs::path kWanted = fs::path(THIMBLE_SOURCE_DIR) / "tests/data/oracle/onnx";

bool skipped(const fs::path& file) {
  if (fs::exists(file)) return false;
  WARN("skipped: " + file.string() + " is not there");
  return true;
}

struct Loaded {
  ThreadPool pool{2};
  program::Bundle bundle;
  std::unique_ptr<runtime::Session> session;

  explicit Loaded(const fs::path& path) {
    auto model = read_model(path.string(), {});
    if (!model) FAIL(model.error().to_string());
    auto lowered = lower::load(*model, pool);
    if (!lowered) FAIL(lowered.error().to_string());
    bundle = *std::move(lowered);
    auto made = runtime::Session::create(bundle, pool);
    if (!made) FAIL(made.error().to_string());
    session = *std::move(made);
  }

  void run(std::vector<data::Array> arrays) {
    const auto views = eval::bind_inputs(bundle.program, arrays);
    if (!views) FAIL(views.error().to_string());
    if (Status status = session->run(*views); !status) FAIL(status.error().to_string());
  }
};

struct Figures {
  bool inside = true;
  double dot = 0, own = 0, other = 0;
  double cosine() const { return dot / std::sqrt(own * other); }

  void add(const float* got, const float* wanted, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const double a = got[i], b = wanted[i];
      inside = inside && std::fabs(a - b) <= 1e-4 + 1e-3 * std::fabs(b);
      dot += a * b, own += a * a, other += b * b;
    }
  }
};

std::vector<data::Array> arrays_of(const fs::path& file) {
  auto arrays = data::read_npz(file.string());
  if (!arrays) FAIL(arrays.error().to_string());
  return *std::move(arrays);
}

std::vector<data::Array> fixture(const std::string& name) {
  return arrays_of(kWanted / (name + ".npz"));
}

const float* floats_of(const data::Array& array) {
  return reinterpret_cast<const float*>(array.bytes.data());
}

void check(const Figures& figures) {
  CHECK(figures.inside);
  CHECK(figures.cosine() >= 0.99999);
}

void check_outputs(const fs::path& model, const std::vector<data::Array>& arrays) {
  INFO(model);
  Loaded loaded(model);
  loaded.run(arrays);
  const std::vector<std::string> names = eval::output_names(loaded.bundle.program);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const data::Array* wanted = data::find(arrays, "want." + names[i]);
    const runtime::TensorView& view = loaded.session->outputs()[i];
    REQUIRE(wanted != nullptr);
    REQUIRE(view.dims == wanted->dims);
    Figures figures;
    figures.add(static_cast<const float*>(view.data), floats_of(*wanted),
                static_cast<std::size_t>(view.count()));
    INFO(names[i]);
    check(figures);
  }
}

void check_call(const std::string& name, const fs::path& file) {
  if (!skipped(kModels / file)) check_outputs(kModels / file, fixture(name));
}

// The whole of test.wav, the state carried from call to call.
void check_speech(const std::string& name) {
  const fs::path folder = kModels / "silero-vad";
  if (skipped(folder)) return;
  INFO(name);
  const std::vector<data::Array> wanted = fixture(name);
  Loaded loaded(folder / (name + ".onnx"));
  const auto states = eval::parse_states("state=stateN");
  auto carrier = eval::Carrier::create(loaded.bundle.program, *states);
  REQUIRE(carrier.has_value());
  const auto inputs = eval::without_states(eval::input_specs(loaded.bundle.program), *states);
  const auto source =
      data::wav_samples((folder / "test.wav").string(), {.frame = 576, .hop = 512, .rate = 16000},
                        "sr=16000", inputs);
  if (!source) FAIL(source.error().to_string());
  const data::Array& heard = *data::find(wanted, "want.output");
  REQUIRE(heard.dims == std::vector<std::int64_t>{1875, 1, 1});
  REQUIRE((*source)->size() == 1875);
  Figures output, state;
  for (std::size_t i = 0; i < (*source)->size(); ++i) {
    auto arrays = (*source)->read(i);
    REQUIRE(arrays.has_value());
    carrier->give(*arrays);
    loaded.run(*arrays);
    carrier->take(*loaded.session);
    output.add(static_cast<const float*>(loaded.session->outputs()[0].data), floats_of(heard) + i,
               1);
  }
  check(output);
  state.add(floats_of(carrier->held().at(0)), floats_of(*data::find(wanted, "want.stateN")), 256);
  check(state);
}

}  // namespace

TEST_CASE("models that measure their inputs as they run, as in ONNX Runtime") {
  const fs::path folder = fs::path(THIMBLE_SOURCE_DIR) / "tests/data/oracle/onnx-dynamic";
  for (const char* name : {"cnn_u8", "cnn_i8", "matmul_u8", "matmul_i8", "to_float_u8",
                           "to_float_i8", "attention_u8", "attention_i8"}) {
    check_outputs(folder / (std::string(name) + ".onnx"),
                  arrays_of(folder / (std::string(name) + ".npz")));
  }
}

TEST_CASE("models that ONNX Runtime's exporters and quantizers write, as in ONNX Runtime") {
  const fs::path folder = fs::path(THIMBLE_SOURCE_DIR) / "tests/data/oracle/onnx-exported";
  int count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".onnx") continue;
    check_outputs(entry.path(), arrays_of(fs::path(entry.path()).replace_extension(".npz")));
    ++count;
  }
  REQUIRE(count == 30);
}

TEST_CASE("real models agree with ONNX Runtime") {
  check_call("magika", "magika/model.onnx");
  check_call("dtln_1", "dtln/model_1.onnx");
  check_call("dtln_2", "dtln/model_2.onnx");
  check_call("mnist", "mnist/mnist-8.onnx");
}

TEST_CASE("speech models agree with ONNX Runtime over a whole recording") {
  check_speech("silero_vad");
  check_speech("silero_vad_16k_op15");
  check_speech("silero_vad_op18_ifless");
}

}  // namespace thimble::formats
