#include "tools/thimble/bench_inputs.h"

#include <cstring>

#include "eval/arrays.h"
#include "support/checked.h"
#include "support/rng.h"
#include "tokenizer/tokenizer.h"

namespace thimble::cli {
namespace {

constexpr std::uint64_t kMostBytes = 1ull << 33;

template <class T, class F>
void fill(data::Array& array, F&& next) {
  for (std::size_t at = 0; at < array.bytes.size(); at += sizeof(T)) {
    const T value = static_cast<T>(next());
    std::memcpy(array.bytes.data() + at, &value, sizeof(T));
  }
}

Status set_dims(const data::InputSpec& spec, bool encoder, std::int64_t tokens,
                data::Array& array) {
  std::optional<std::uint64_t> bytes = static_cast<std::uint64_t>(data::descr_bytes(spec.descr));
  for (std::size_t axis = 0; axis < spec.dims.size(); ++axis) {
    std::int64_t size = spec.dims[axis];
    if (size < 0) size = axis == 0 ? 1 : encoder ? tokens : -1;
    if (size < 0) {
      return Error(ErrorCode::kUsage, "axis " + std::to_string(axis) + " of the input '" +
                                          spec.name + "' may have any size")
          .fix("say one with --dim, or give arrays with --inputs in.npz");
    }
    array.dims.push_back(size);
    if (bytes) bytes = checked_mul<std::uint64_t>(*bytes, static_cast<std::uint64_t>(size));
  }
  if (!bytes || *bytes > kMostBytes)
    return invalid_argument("the input '" + spec.name + "' is too large");
  array.bytes.resize(*bytes);
  return ok();
}

}  // namespace

Expected<std::vector<data::Array>> made_inputs(const program::Bundle& bundle, std::int64_t tokens) {
  const bool encoder = bundle.program.task == program::Task::kEmbed;
  std::uint64_t vocabulary = 1;
  if (encoder && !bundle.tokenizer.empty()) {
    THIMBLE_ASSIGN(const auto tokenizer, tokenizer::Tokenizer::load(bundle.tokenizer));
    vocabulary = tokenizer.vocabulary();
  }
  Rng rng(1, "bench");
  std::vector<data::Array> arrays;
  for (const data::InputSpec& spec : eval::input_specs(bundle.program)) {
    data::Array array{spec.name, spec.descr, {}, {}};
    THIMBLE_TRY(set_dims(spec, encoder, tokens, array));
    if (spec.descr == "<f4") fill<float>(array, [&] { return rng.uniform(); });
    if (spec.descr == "<f8") fill<double>(array, [&] { return rng.uniform(); });
    if (encoder && spec.descr == "<i8" && spec.name == "input_ids")
      fill<std::int64_t>(array, [&] { return rng.below(vocabulary); });
    if (encoder && spec.descr == "<i8" && spec.name == "attention_mask")
      fill<std::int64_t>(array, [] { return 1; });
    arrays.push_back(std::move(array));
  }
  return arrays;
}

}  // namespace thimble::cli
