// include/thimble/runtime.h over Session, Decoder and Tokenizer.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "include/thimble/runtime.h"
#include "program/header.h"
#include "runtime/generate.h"
#include "tokenizer/tokenizer.h"

#ifndef THIMBLE_VERSION
#define THIMBLE_VERSION "0.1.0"
#endif

namespace rt = thimble::runtime;
using thimble::Error;
using thimble::ErrorCode;
using thimble::Expected;
using thimble::Status;
using thimble::program::Bundle;
using thimble::program::CacheType;

struct thimble_model {
  explicit thimble_model(int threads) : pool(threads) {}
  thimble::program::Bundle bundle;
  thimble::ThreadPool pool;
  std::unique_ptr<rt::Decoder> decoder;  // of a model that generates text
  std::unique_ptr<rt::Session> session;  // of any other
  std::optional<thimble::tokenizer::Tokenizer> tokenizer;
  std::optional<rt::Sampler> sampler;
  thimble_sampling sampling{};    // what the sampler was made for
  std::vector<std::int32_t> fed;  // what the repetition penalty counts
  std::span<const float> logits;
  std::vector<std::string> input_names, output_names;
  std::vector<std::size_t> output_index;  // into the session's outputs
  std::vector<rt::TensorView> inputs;
  std::string text;

  rt::Session& runner() const { return decoder ? decoder->session() : *session; }
};

namespace {

thread_local std::string last_error;

thimble_code code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidFile:
      return THIMBLE_INVALID_FILE;
    case ErrorCode::kUnsupported:
      return THIMBLE_UNSUPPORTED;
    case ErrorCode::kNotFound:
      return THIMBLE_NOT_FOUND;
    case ErrorCode::kIo:
      return THIMBLE_IO;
    case ErrorCode::kInterrupted:
      return THIMBLE_INTERRUPTED;
    case ErrorCode::kResource:
      return THIMBLE_RESOURCE;
    default:
      return THIMBLE_INVALID_ARGUMENT;
  }
}

thimble_code fail(const Error& error) {
  last_error = error.to_string();
  return code_of(error.code);
}

thimble_code done(const Status& status) { return status ? THIMBLE_OK : fail(status.error()); }

bool is_cache_type(int cache) { return cache >= THIMBLE_CACHE_F32 && cache <= THIMBLE_CACHE_INT4; }

rt::SessionOptions session_options(const thimble_options& options) {
  rt::SessionOptions out;
  out.max_context = options.max_context;
  out.cache_from_program = !is_cache_type(options.cache);
  if (!out.cache_from_program) {
    out.cache = static_cast<CacheType>(options.cache);
    if (is_cache_type(options.value_cache))
      out.value_cache = static_cast<CacheType>(options.value_cache);
  }
  out.float_activations = options.float_activations != 0;
  return out;
}

// States are the session's own business: callers see the other inputs and outputs.
void list_names(thimble_model& model) {
  const thimble::program::Program& program = model.bundle.program;
  const auto is_state = [&](std::int32_t slot) {
    return std::any_of(program.states.begin(), program.states.end(),
                       [&](const auto& s) { return s.input == slot || s.output == slot; });
  };
  for (const std::int32_t slot : program.regions[0].inputs) {
    if (!is_state(slot)) model.input_names.push_back(program.slot(slot).name);
  }
  for (std::size_t i = 0; i < program.regions[0].outputs.size(); ++i) {
    const std::int32_t slot = program.regions[0].outputs[i];
    if (is_state(slot)) continue;
    model.output_names.push_back(program.slot(slot).name);
    model.output_index.push_back(i);
  }
  model.inputs.resize(model.input_names.size());
}

Expected<std::unique_ptr<thimble_model>> load(Expected<Bundle> bundle,
                                              const thimble_options& options) {
  if (!bundle) return std::move(bundle).error();
  const auto known = [](int cache) {
    return cache == THIMBLE_CACHE_FROM_FILE || is_cache_type(cache);
  };
  if (options.threads < 0 || !known(options.cache) || !known(options.value_cache)) {
    return thimble::invalid_argument("the options name no number of threads or no type of cache")
        .fix("start from thimble_default_options");
  }
  auto model = std::make_unique<thimble_model>(
      options.threads > 0 ? options.threads : thimble::ThreadPool::default_threads());
  model->bundle = std::move(*bundle);
  const rt::SessionOptions session = session_options(options);
  if (model->bundle.program.task == thimble::program::Task::kGenerate) {
    THIMBLE_ASSIGN(model->decoder, rt::Decoder::create(model->bundle, model->pool, session));
  } else {
    THIMBLE_ASSIGN(model->session, rt::Session::create(model->bundle, model->pool, session));
  }
  if (!model->bundle.tokenizer.empty()) {
    THIMBLE_ASSIGN(auto tokenizer, thimble::tokenizer::Tokenizer::load(model->bundle.tokenizer));
    model->tokenizer.emplace(std::move(tokenizer));
  }
  list_names(*model);
  return model;
}

const char* name_at(const std::vector<std::string>& names, std::size_t index) {
  return index < names.size() ? names[index].c_str() : nullptr;
}

Expected<std::size_t> find_name(const std::vector<std::string>& names, const char* name,
                                const char* what) {
  const auto at =
      std::find(names.begin(), names.end(), name == nullptr ? std::string() : std::string(name));
  if (at != names.end()) return static_cast<std::size_t>(at - names.begin());
  return thimble::not_found(std::string("the model has no ") + what + " '" +
                            (name == nullptr ? "" : name) + "'");
}

bool same_sampling(const thimble_sampling& a, const thimble_sampling& b) {
  return a.temperature == b.temperature && a.top_k == b.top_k && a.top_p == b.top_p &&
         a.min_p == b.min_p && a.repetition_penalty == b.repetition_penalty && a.seed == b.seed;
}

// What isn't a number passes no comparison.
bool can_be(const thimble_sampling& s) {
  return s.temperature >= 0 && s.top_k >= 0 && s.top_p >= 0 && s.top_p <= 1 && s.min_p >= 0 &&
         s.min_p <= 1 && s.repetition_penalty > 0;
}

thimble_options options_or_default(const thimble_options* options) {
  return options != nullptr ? *options : thimble_default_options();
}

thimble_code no_place(const char* what) {
  return fail(thimble::invalid_argument(std::string("a null pointer where ") + what));
}

const Error& no_tokenizer() {
  static const Error error = thimble::unsupported("the file holds no tokenizer");
  return error;
}
const Error& no_decoder() {
  static const Error error = thimble::unsupported("the model generates no text");
  return error;
}

}  // namespace

const char* thimble_version(void) { return THIMBLE_VERSION; }
uint32_t thimble_format_version(void) { return thimble::program::Preamble::kVersion; }
const char* thimble_last_error(void) { return last_error.c_str(); }

thimble_options thimble_default_options(void) {
  return {0, 0, THIMBLE_CACHE_FROM_FILE, THIMBLE_CACHE_FROM_FILE, 0};
}
thimble_sampling thimble_default_sampling(void) { return {0.0f, 0, 1.0f, 0.0f, 1.0f, 0}; }

thimble_code thimble_load(const char* path, const thimble_options* options, thimble_model** model) {
  if (path == nullptr || model == nullptr)
    return fail(thimble::invalid_argument("thimble_load needs a path and a place for the model"));
  *model = nullptr;
  auto loaded = load(thimble::program::open_thimble(path), options_or_default(options));
  if (!loaded) return fail(std::move(loaded).error().in(path));
  *model = loaded->release();
  return THIMBLE_OK;
}

thimble_code thimble_load_memory(const void* file, size_t size, const thimble_options* options,
                                 thimble_model** model) {
  if (file == nullptr || model == nullptr)
    return fail(
        thimble::invalid_argument("thimble_load_memory needs a file and a place for the model"));
  *model = nullptr;
  const std::span bytes(static_cast<const std::byte*>(file), size);
  auto loaded = load(thimble::program::read_thimble(bytes), options_or_default(options));
  if (!loaded) return fail(loaded.error());
  *model = loaded->release();
  return THIMBLE_OK;
}

thimble_memory thimble_memory_use(const thimble_model* model) {
  const rt::MemoryPlan plan = model->runner().memory();
  return {plan.weights, plan.caches, plan.activations + plan.found + plan.scratch};
}

void thimble_free(thimble_model* model) { delete model; }

const char* thimble_metadata(const thimble_model* model, const char* key) {
  if (key == nullptr) return nullptr;
  const std::string* value = thimble::program::find(model->bundle.metadata, key);
  return value == nullptr ? nullptr : value->c_str();
}

thimble_code thimble_tokenize(thimble_model* model, const char* text, int add_special, int32_t* ids,
                              size_t capacity, size_t* count) {
  if (!model->tokenizer) return fail(no_tokenizer());
  if (text == nullptr || count == nullptr || (ids == nullptr && capacity > 0))
    return no_place("thimble_tokenize needs a text, or a place for ids or their count");
  const std::vector<std::int32_t> all = model->tokenizer->encode(text, {add_special != 0, true});
  *count = all.size();
  std::copy_n(all.begin(), std::min(capacity, all.size()), ids);
  return THIMBLE_OK;
}

thimble_code thimble_detokenize(thimble_model* model, const int32_t* ids, size_t count,
                                const char** text) {
  if (!model->tokenizer) return fail(no_tokenizer());
  if (text == nullptr || (ids == nullptr && count > 0))
    return no_place("thimble_detokenize needs ids, or a place for the text");
  model->text = model->tokenizer->decode({ids, count});
  *text = model->text.c_str();
  return THIMBLE_OK;
}

thimble_code thimble_feed(thimble_model* model, const int32_t* ids, size_t count,
                          const float** logits, size_t* vocabulary) {
  if (!model->decoder) return fail(no_decoder());
  if (ids == nullptr && count > 0) return no_place("thimble_feed needs ids");
  // The operators take what is below 0 as counted from the end, as ONNX does; a token it is not.
  for (const std::int32_t id : std::span(ids, count)) {
    if (id < 0) return fail(thimble::invalid_argument("no token has the id " + std::to_string(id)));
  }
  model->logits = {};
  auto fed = model->decoder->feed({ids, count});
  if (!fed) return fail(fed.error());
  model->logits = *fed;
  model->fed.insert(model->fed.end(), ids, ids + count);
  if (model->sampler) model->sampler->accept({ids, count});
  if (logits != nullptr) *logits = fed->data();
  if (vocabulary != nullptr) *vocabulary = fed->size();
  return THIMBLE_OK;
}

thimble_code thimble_sample(thimble_model* model, const thimble_sampling* sampling, int32_t* id) {
  if (model->logits.empty())
    return fail(thimble::invalid_argument("there are no logits to sample from: feed tokens first"));
  const thimble_sampling wanted = sampling != nullptr ? *sampling : thimble_default_sampling();
  if (!can_be(wanted)) {
    return fail(thimble::invalid_argument("a sampling option is out of its range")
                    .fix("start from thimble_default_sampling"));
  }
  if (!model->sampler || !same_sampling(wanted, model->sampling)) {
    model->sampler.emplace(rt::SamplingOptions{wanted.temperature, wanted.top_k, wanted.top_p,
                                               wanted.min_p, wanted.repetition_penalty,
                                               wanted.seed});
    model->sampling = wanted;
    model->sampler->accept(model->fed);
  }
  if (id == nullptr) return no_place("thimble_sample puts the id");
  *id = model->sampler->sample(model->logits);
  return THIMBLE_OK;
}

int thimble_is_end(const thimble_model* model, int32_t id) {
  return rt::ends_text(model->bundle, model->tokenizer ? &*model->tokenizer : nullptr, id) ? 1 : 0;
}

int64_t thimble_position(const thimble_model* model) {
  return model->decoder ? model->decoder->cached() : 0;
}

thimble_code thimble_rewind(thimble_model* model, int64_t position) {
  model->logits = {};
  if (!model->decoder) return fail(no_decoder());
  if (auto status = model->decoder->truncate(position); !status) return fail(status.error());
  model->fed.resize(std::min(model->fed.size(), static_cast<std::size_t>(position)));
  if (!model->sampler) return THIMBLE_OK;
  model->sampler->forget();
  model->sampler->accept(model->fed);
  return THIMBLE_OK;
}

void thimble_reset(thimble_model* model) {
  model->logits = {};
  model->sampler.reset();
  model->fed.clear();
  model->runner().reset();
}

size_t thimble_input_count(const thimble_model* model) { return model->input_names.size(); }
size_t thimble_output_count(const thimble_model* model) { return model->output_names.size(); }
const char* thimble_input_name(const thimble_model* model, size_t index) {
  return name_at(model->input_names, index);
}
const char* thimble_output_name(const thimble_model* model, size_t index) {
  return name_at(model->output_names, index);
}

thimble_code thimble_set_input(thimble_model* model, const char* name,
                               const thimble_tensor* tensor) {
  if (tensor == nullptr) return no_place("thimble_set_input needs a tensor");
  const auto index = find_name(model->input_names, name, "input");
  if (!index) return fail(index.error());
  if (tensor->rank < 0 || tensor->rank > THIMBLE_MAX_RANK ||
      std::any_of(tensor->dims, tensor->dims + tensor->rank, [](int64_t dim) { return dim < 0; })) {
    return fail(thimble::invalid_argument(std::string("input '") + name + "': its dims can't be"));
  }
  model->inputs[*index] = {static_cast<thimble::program::Type>(tensor->type),
                           {tensor->dims, tensor->dims + tensor->rank},
                           tensor->data};
  return THIMBLE_OK;
}

thimble_code thimble_run(thimble_model* model) {
  for (std::size_t i = 0; i < model->inputs.size(); ++i) {
    if (model->inputs[i].data == nullptr)
      return fail(thimble::invalid_argument("input '" + model->input_names[i] + "' was not set"));
  }
  model->logits = {};
  return done(model->runner().run(model->inputs));
}

void thimble_stop(thimble_model* model) { model->runner().stop(); }

thimble_code thimble_get_output(thimble_model* model, const char* name, thimble_tensor* tensor) {
  if (tensor == nullptr) return no_place("thimble_get_output puts the tensor");
  const auto index = find_name(model->output_names, name, "output");
  if (!index) return fail(index.error());
  const auto& outputs = model->runner().outputs();
  if (outputs.size() <= model->output_index[*index])
    return fail(thimble::invalid_argument("there are no outputs: run the model first"));
  const rt::TensorView& view = outputs[model->output_index[*index]];
  *tensor = {static_cast<int>(view.type), static_cast<int>(view.dims.size()), {}, view.data};
  std::copy(view.dims.begin(), view.dims.end(), tensor->dims);
  return THIMBLE_OK;
}
