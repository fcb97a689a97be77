// The C interface on the golden files.

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "include/thimble/runtime.h"
#include "unit/catch.h"

namespace {

const std::string kFolder = std::string(THIMBLE_SOURCE_DIR) + "/tests/golden/";

struct Model {
  explicit Model(const std::string& name) {
    thimble_options options = thimble_default_options();
    options.threads = 1;
    if (thimble_load((kFolder + name).c_str(), &options, &handle) != THIMBLE_OK)
      FAIL(thimble_last_error());
  }
  ~Model() { thimble_free(handle); }
  thimble_model* handle = nullptr;
};

// With every token but the likeliest fed, a penalty that nothing outweighs leaves only that one;
// rewinding takes the penalty back.
void check_penalty(thimble_model* model) {
  thimble_sampling harsh = thimble_default_sampling();
  harsh.repetition_penalty = 1e9f;
  std::vector<std::int32_t> others;
  int seen = 0;
  for (std::int32_t left = 0; left < 24; ++left) {
    others.clear();
    for (std::int32_t token = 0; token < 24; ++token) {
      if (token != left) others.push_back(token);
    }
    const float* logits = nullptr;
    REQUIRE(thimble_rewind(model, 0) == THIMBLE_OK);
    REQUIRE(thimble_feed(model, others.data(), others.size(), &logits, nullptr) == THIMBLE_OK);
    std::int32_t id = -1;
    REQUIRE(thimble_sample(model, &harsh, &id) == THIMBLE_OK);
    if (logits[left] <= 1e-6f) continue;
    REQUIRE(id == left);
    ++seen;
  }
  REQUIRE(seen > 0);
}

}  // namespace

TEST_CASE("the C interface loads a file from memory, and tells what the model takes") {
  std::ifstream in(kFolder + "decoder-v1.thimble", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  std::vector<char> room(bytes.size() + 128);
  char* const file = room.data() + 64 - reinterpret_cast<std::uintptr_t>(room.data()) % 64;
  std::memcpy(file, bytes.data(), bytes.size());

  const Model mapped("decoder-v1.thimble");
  thimble_options options = thimble_default_options();
  options.threads = 1;
  options.cache = THIMBLE_CACHE_F32;
  options.value_cache = THIMBLE_CACHE_INT8;
  thimble_model* model = nullptr;
  REQUIRE(thimble_load_memory(file, bytes.size(), &options, &model) == THIMBLE_OK);
  const thimble_memory whole = thimble_memory_use(mapped.handle), less = thimble_memory_use(model);
  REQUIRE(whole.weights > 0);
  REQUIRE(less.weights == whole.weights);
  REQUIRE(less.caches < whole.caches);
  const std::vector<std::int32_t> tokens = {3, 9, 17};
  REQUIRE(thimble_feed(model, tokens.data(), 3, nullptr, nullptr) == THIMBLE_OK);
  REQUIRE(thimble_memory_use(model).activations > 0);
  thimble_free(model);

  std::memmove(file + 1, file, bytes.size());
  REQUIRE(thimble_load_memory(file + 1, bytes.size(), nullptr, &model) == THIMBLE_INVALID_ARGUMENT);
  REQUIRE(std::strstr(thimble_last_error(), "a multiple of 64 bytes") != nullptr);
  REQUIRE(thimble_load_memory(file, 3, nullptr, &model) == THIMBLE_INVALID_FILE);
  REQUIRE(model == nullptr);
}

TEST_CASE("the C interface ends a run that is to stop, and what was fed stays") {
  const Model decoder("decoder-v1.thimble");
  const std::vector<std::int32_t> tokens = {3, 9, 17};
  REQUIRE(thimble_feed(decoder.handle, tokens.data(), 2, nullptr, nullptr) == THIMBLE_OK);
  thimble_stop(decoder.handle);
  REQUIRE(thimble_feed(decoder.handle, tokens.data() + 2, 1, nullptr, nullptr) ==
          THIMBLE_INTERRUPTED);
  REQUIRE(thimble_position(decoder.handle) == 2);
  REQUIRE(thimble_feed(decoder.handle, tokens.data() + 2, 1, nullptr, nullptr) == THIMBLE_OK);
  REQUIRE(thimble_position(decoder.handle) == 3);
}

TEST_CASE("the C interface refuses ids, options and pointers that are none") {
  const Model decoder("decoder-v1.thimble");
  const std::int32_t ids[] = {3, -1};
  REQUIRE(thimble_feed(decoder.handle, ids, 2, nullptr, nullptr) == THIMBLE_INVALID_ARGUMENT);
  REQUIRE(std::strstr(thimble_last_error(), "-1") != nullptr);
  REQUIRE(thimble_position(decoder.handle) == 0);
  REQUIRE(thimble_feed(decoder.handle, nullptr, 2, nullptr, nullptr) == THIMBLE_INVALID_ARGUMENT);
  REQUIRE(thimble_feed(decoder.handle, ids, 1, nullptr, nullptr) == THIMBLE_OK);
  REQUIRE(thimble_sample(decoder.handle, nullptr, nullptr) == THIMBLE_INVALID_ARGUMENT);
  std::int32_t id = 0;
  thimble_sampling sampling = thimble_default_sampling();
  sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  REQUIRE(thimble_sample(decoder.handle, &sampling, &id) == THIMBLE_INVALID_ARGUMENT);
  sampling = thimble_default_sampling();
  sampling.repetition_penalty = 0;
  REQUIRE(thimble_sample(decoder.handle, &sampling, &id) == THIMBLE_INVALID_ARGUMENT);
  REQUIRE(thimble_sample(decoder.handle, nullptr, &id) == THIMBLE_OK);
  REQUIRE(thimble_metadata(decoder.handle, nullptr) == nullptr);
  const char* input = thimble_input_name(decoder.handle, 0);
  REQUIRE(thimble_set_input(decoder.handle, input, nullptr) == THIMBLE_INVALID_ARGUMENT);
  const auto load = [](int threads, int cache) {
    thimble_options options = thimble_default_options();
    options.threads = threads;
    options.cache = cache;
    thimble_model* model = nullptr;
    const thimble_code code =
        thimble_load((kFolder + "decoder-v1.thimble").c_str(), &options, &model);
    thimble_free(model);
    return code;
  };
  REQUIRE(load(-3, THIMBLE_CACHE_FROM_FILE) == THIMBLE_INVALID_ARGUMENT);
  REQUIRE(load(1, 77) == THIMBLE_INVALID_ARGUMENT);
  REQUIRE(load(1, THIMBLE_CACHE_INT8) == THIMBLE_OK);
}

TEST_CASE("the C interface runs tensors by name") {
  REQUIRE(std::string(thimble_version()) == "0.1.0");
  REQUIRE(thimble_format_version() == 1);
  // The file's tokenizer is not one, and that is said.
  thimble_model* model = nullptr;
  REQUIRE(thimble_load((kFolder + "linear-v1.thimble").c_str(), nullptr, &model) ==
          THIMBLE_INVALID_FILE);
  REQUIRE(model == nullptr);
  REQUIRE(std::strstr(thimble_last_error(), "linear-v1.thimble") != nullptr);
  REQUIRE(thimble_load((kFolder + "absent.thimble").c_str(), nullptr, &model) == THIMBLE_NOT_FOUND);

  Model decoder("decoder-v1.thimble");
  REQUIRE(thimble_input_count(decoder.handle) == 3);
  REQUIRE(thimble_output_count(decoder.handle) == 1);
  REQUIRE(std::string(thimble_input_name(decoder.handle, 0)) == "input_ids");
  REQUIRE(thimble_input_name(decoder.handle, 3) == nullptr);
  const std::vector<std::int64_t> ids = {3, 9, 17}, positions = {0, 1, 2}, wanted = {2};
  const thimble_tensor row{THIMBLE_I64, 2, {1, 3}, ids.data()};
  thimble_tensor out{};
  REQUIRE(thimble_get_output(decoder.handle, "logits", &out) == THIMBLE_INVALID_ARGUMENT);
  REQUIRE(thimble_set_input(decoder.handle, "nothing", &row) == THIMBLE_NOT_FOUND);
  REQUIRE(thimble_set_input(decoder.handle, "input_ids", &row) == THIMBLE_OK);
  REQUIRE(thimble_run(decoder.handle) == THIMBLE_INVALID_ARGUMENT);
  REQUIRE(std::string(thimble_last_error()).find("'position_ids' was not set") !=
          std::string::npos);
  const thimble_tensor place{THIMBLE_I64, 2, {1, 3}, positions.data()},
      last{THIMBLE_I64, 1, {1}, wanted.data()};
  REQUIRE(thimble_set_input(decoder.handle, "position_ids", &place) == THIMBLE_OK);
  REQUIRE(thimble_set_input(decoder.handle, "logit_positions", &last) == THIMBLE_OK);
  REQUIRE(thimble_run(decoder.handle) == THIMBLE_OK);
  REQUIRE(thimble_get_output(decoder.handle, "logits", &out) == THIMBLE_OK);
  REQUIRE(out.rank == 3);
  REQUIRE(out.dims[2] == 24);
  const std::vector<float> by_tensors(static_cast<const float*>(out.data),
                                      static_cast<const float*>(out.data) + 24);

  thimble_reset(decoder.handle);
  const std::vector<std::int32_t> tokens = {3, 9, 17};
  const float* logits = nullptr;
  std::size_t vocabulary = 0;
  REQUIRE(thimble_feed(decoder.handle, tokens.data(), 2, nullptr, nullptr) == THIMBLE_OK);
  REQUIRE(thimble_feed(decoder.handle, tokens.data() + 2, 1, &logits, &vocabulary) == THIMBLE_OK);
  REQUIRE(vocabulary == 24);
  REQUIRE(std::vector<float>(logits, logits + 24) == by_tensors);
  REQUIRE(thimble_position(decoder.handle) == 3);
  std::int32_t id = -1;
  REQUIRE(thimble_sample(decoder.handle, nullptr, &id) == THIMBLE_OK);
  REQUIRE(by_tensors[static_cast<std::size_t>(id)] ==
          *std::max_element(by_tensors.begin(), by_tensors.end()));
  REQUIRE(thimble_rewind(decoder.handle, 1) == THIMBLE_OK);
  REQUIRE(thimble_sample(decoder.handle, nullptr, &id) == THIMBLE_INVALID_ARGUMENT);
  check_penalty(decoder.handle);
  const char* text = nullptr;
  REQUIRE(thimble_detokenize(decoder.handle, tokens.data(), 1, &text) == THIMBLE_UNSUPPORTED);
}
