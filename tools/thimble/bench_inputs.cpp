#include "tools/thimble/bench_inputs.h"

#include <algorithm>
#include <cstring>

#include "eval/arrays.h"
#include "support/checked.h"
#include "support/rng.h"
#include "support/text.h"
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

struct OpenSize {
  std::size_t symbol;
  bool first_axis;  // of the input that has it first
  const std::string& input;
};

// Open sizes of inputs, each once, in the inputs' order.
std::vector<OpenSize> open_sizes(const std::vector<const program::Slot*>& inputs) {
  std::vector<OpenSize> open;
  for (const program::Slot* slot : inputs) {
    for (std::size_t axis = 0; axis < slot->dims.size(); ++axis) {
      for (const program::SizeStep& step : slot->dims[axis]) {
        const auto symbol = static_cast<std::size_t>(step.value);
        const auto same = [&](const OpenSize& size) { return size.symbol == symbol; };
        if (step.op == program::SizeStep::Op::kSymbol &&
            std::none_of(open.begin(), open.end(), same))
          open.push_back({symbol, axis == 0, slot->name});
      }
    }
  }
  return open;
}

Status check_said(const program::Program& program, const std::vector<OpenSize>& open,
                  const ir::DimRanges& said) {
  std::vector<std::string> names;
  for (const OpenSize& size : open) names.push_back(program.symbols[size.symbol]);
  for (const auto& [name, range] : said) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      return Error(ErrorCode::kUsage, "no input has an open size '" + name + "'")
          .fix(names.empty() ? "leave --dim out: all sizes are settled"
                             : "open are: " + join(names, ", "));
    }
    if (range.low != range.high) {
      return Error(ErrorCode::kUsage, "a run has one size '" + name + "', not a range of them")
          .fix("say --dim " + name + "=" + std::to_string(range.low));
    }
  }
  return ok();
}

Expected<std::int64_t> value_of(const OpenSize& open, const program::Program& program,
                                const MadeSizes& known) {
  const std::string& name = program.symbols[open.symbol];
  const auto range = known.ranges.find(name);
  const ir::DimRange allowed = range == known.ranges.end() ? ir::DimRange() : range->second;
  if (const auto said = known.sizes.find(name); said != known.sizes.end()) {
    const std::int64_t value = said->second.low;
    if (value >= allowed.low && value <= allowed.high) return value;
    return Error(ErrorCode::kUsage, "the model was made for " + ir::to_string({*range}))
        .fix("say a size within it, or make the model with another --dim");
  }
  if (open.first_axis) return std::clamp<std::int64_t>(1, allowed.low, allowed.high);
  if (program.task == program::Task::kEmbed)
    return std::clamp(known.tokens, allowed.low, allowed.high);
  if (allowed.high != ir::DimRange().high) return allowed.high;
  return Error(ErrorCode::kUsage,
               "the size '" + name + "' of the input '" + open.input + "' is open")
      .fix("say it with --dim " + name + "=N");
}

// By symbol; 0 for those that no input has.
Expected<std::vector<std::int64_t>> symbol_values(const program::Program& program,
                                                  const std::vector<const program::Slot*>& inputs,
                                                  const MadeSizes& known) {
  const std::vector<OpenSize> open = open_sizes(inputs);
  THIMBLE_TRY(check_said(program, open, known.sizes));
  std::vector<std::int64_t> values(program.symbols.size());
  for (const OpenSize& size : open) {
    THIMBLE_ASSIGN(values[size.symbol], value_of(size, program, known));
  }
  return values;
}

Status set_dims(const program::Slot& slot, const std::vector<std::int64_t>& symbols,
                data::Array& array) {
  std::optional<std::uint64_t> bytes = static_cast<std::uint64_t>(data::descr_bytes(array.descr));
  for (const program::Size& size : slot.dims) {
    THIMBLE_ASSIGN(array.dims.emplace_back(), program::evaluate(size, symbols));
    if (bytes)
      bytes = checked_mul<std::uint64_t>(*bytes, static_cast<std::uint64_t>(array.dims.back()));
  }
  if (!bytes || *bytes > kMostBytes)
    return invalid_argument("the input '" + slot.name + "' is too large");
  array.bytes.resize(*bytes);
  return ok();
}

}  // namespace

Expected<std::vector<data::Array>> made_inputs(const program::Bundle& bundle,
                                               const MadeSizes& known) {
  const bool encoder = bundle.program.task == program::Task::kEmbed;
  std::uint64_t vocabulary = 1;
  if (encoder && !bundle.tokenizer.empty()) {
    THIMBLE_ASSIGN(const auto tokenizer, tokenizer::Tokenizer::load(bundle.tokenizer));
    vocabulary = tokenizer.vocabulary();
  }
  const std::vector<const program::Slot*> slots = eval::input_slots(bundle.program);
  THIMBLE_ASSIGN(const auto symbols, symbol_values(bundle.program, slots, known));
  Rng rng(1, "bench");
  std::vector<data::Array> arrays;
  for (const program::Slot* slot : slots) {
    data::Array array{slot->name, eval::spec_of(*slot).descr, {}, {}};
    THIMBLE_TRY(set_dims(*slot, symbols, array));
    if (array.descr == "<f4") fill<float>(array, [&] { return rng.uniform(); });
    if (array.descr == "<f8") fill<double>(array, [&] { return rng.uniform(); });
    if (encoder && array.descr == "<i8" && slot->name == "input_ids")
      fill<std::int64_t>(array, [&] { return rng.below(vocabulary); });
    if (encoder && array.descr == "<i8" && slot->name == "attention_mask")
      fill<std::int64_t>(array, [] { return 1; });
    arrays.push_back(std::move(array));
  }
  return arrays;
}

}  // namespace thimble::cli
