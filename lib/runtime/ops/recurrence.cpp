// Sizes, activations and products of recurrent networks.

#include <algorithm>
#include <cmath>

#include "runtime/ops/product_rows.h"
#include "runtime/ops/recurrent.h"
#include "support/checked.h"
#include "support/math.h"

namespace thimble::runtime {
namespace {

using program::Type;
using Kind = Activation::Kind;

struct Known {
  std::string_view name;
  Kind kind;
  int parameters;  // 1: alpha; 2: alpha and beta
  float alpha, beta;
};
constexpr Known kKnown[] = {
    {"Tanh", Kind::kTanh, 0, 0, 0},
    {"Sigmoid", Kind::kSigmoid, 0, 0, 0},
    {"Relu", Kind::kRelu, 0, 0, 0},
    {"Affine", Kind::kAffine, 2, 1, 0},
    {"LeakyRelu", Kind::kLeakyRelu, 1, 0.01f, 0},
    {"ThresholdedRelu", Kind::kThresholdedRelu, 1, 1, 0},
    {"ScaledTanh", Kind::kScaledTanh, 2, 1, 1},
    {"HardSigmoid", Kind::kHardSigmoid, 2, 0.2f, 0.5f},
    {"Elu", Kind::kElu, 1, 1, 0},
    {"Softsign", Kind::kSoftsign, 0, 0, 0},
    {"Softplus", Kind::kSoftplus, 0, 0, 0},
};

// The names of `activations`, a line each, or the defaults once a direction.
std::vector<std::string_view> names_of(const Call& call, std::int64_t directions,
                                       std::span<const std::string_view> defaults) {
  std::vector<std::string_view> names;
  std::string_view text = call.instruction.text("activations", "");
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    names.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  for (std::int64_t d = 0; names.size() < defaults.size() * static_cast<std::size_t>(directions) &&
                           (d > 0 || names.empty());
       ++d) {
    names.insert(names.end(), defaults.begin(), defaults.end());
  }
  return names;
}

// alpha and beta are listed for those functions that have them.
Status read_activations(const Call& call, std::span<const std::string_view> defaults,
                        Recurrence& r) {
  const program::Attribute* alphas = call.instruction.find("activation_alpha");
  const program::Attribute* betas = call.instruction.find("activation_beta");
  std::size_t alpha = 0, beta = 0;
  const std::vector<std::string_view> names = names_of(call, r.directions, defaults);
  if (names.size() != defaults.size() * static_cast<std::size_t>(r.directions))
    return invalid_argument("activations doesn't name one function a gate");
  for (const std::string_view name : names) {
    const auto* known = std::find_if(std::begin(kKnown), std::end(kKnown),
                                     [&](const Known& k) { return k.name == name; });
    if (known == std::end(kKnown))
      return unsupported("the activation '" + std::string(name) + "' is unknown");
    Activation f{known->kind, known->alpha, known->beta};
    if (known->parameters > 0 && alphas != nullptr && alpha < alphas->floats.size())
      f.alpha = alphas->floats[alpha++];
    if (known->parameters > 1 && betas != nullptr && beta < betas->floats.size())
      f.beta = betas->floats[beta++];
    r.activations.push_back(f);
  }
  return ok();
}

Status check_input(const Call& call, std::size_t i, const Dims& dims, const char* what) {
  const Value* value = input_at(call, i);
  if (value == nullptr || (value->type == Type::kF32 && value->dims == dims)) return ok();
  return invalid_argument(std::string("a recurrent network's ") + what +
                          " has the wrong type or shape");
}

// Parts of a weight in tiles that are multiplied apart begin where a tile does: each direction's,
// and of a GRU whose last gate waits for the reset, that gate's.
Status check_tiles(const Call& call, std::size_t i, const Recurrence& r, std::int64_t inputs) {
  const Value& weight = *call.inputs[i];
  if (weight.tensor == nullptr) return ok();
  const bool late =
      i == 2 && r.gates == 3 && call.instruction.integer("linear_before_reset", 0) == 0;
  const bool apart = (r.directions == 1 || r.width() % kernels::kTileRows == 0) &&
                     (!late || 2 * r.hidden % kernels::kTileRows == 0);
  const bool fits =
      weight.grouped.rows == r.directions * r.width() && weight.grouped.inputs == inputs;
  return fits && apart
             ? ok()
             : Status(invalid_argument("a recurrent network's weight doesn't fit its tiles"));
}

Status check_lengths(const Call& call, const Recurrence& r) {
  const Value* lengths = input_at(call, 4);
  if (lengths == nullptr) return ok();
  if (lengths->dims != Dims{r.batch}) return invalid_argument("sequence_lens has the wrong shape");
  THIMBLE_ASSIGN(const Dims numbers, integers_of(*lengths));
  for (const std::int64_t length : numbers) {
    if (length < 0 || length > r.steps)
      return invalid_argument("sequence_lens is longer than the sequence");
  }
  return ok();
}

float value_of(const Activation& f, float x) {
  switch (f.kind) {
    case Kind::kAffine:
      return f.alpha * x + f.beta;
    case Kind::kLeakyRelu:
      return x < 0 ? f.alpha * x : x;
    case Kind::kThresholdedRelu:
      return x > f.alpha ? x : 0.0f;
    case Kind::kScaledTanh:
      return f.alpha * math::tanh(f.beta * x);
    case Kind::kHardSigmoid:
      return std::clamp(f.alpha * x + f.beta, 0.0f, 1.0f);
    case Kind::kElu:
      return x < 0 ? f.alpha * math::expm1(x) : x;
    case Kind::kSoftsign:
      return x / (1 + std::fabs(x));
    case Kind::kSoftplus:
      return x > 20 ? x : math::log1p(math::exp(x));
    default:
      return x;
  }
}

}  // namespace

Expected<Recurrence> recurrence_of(const Call& call, std::int64_t gates,
                                   std::span<const std::string_view> defaults) {
  const Value &x = *call.inputs[0], &recurrent = *call.inputs[2];
  const program::Instruction& i = call.instruction;
  const std::string_view direction = i.text("direction", "forward");
  if (x.type != Type::kF32 || x.dims.size() != 3 || recurrent.dims.size() != 3)
    return invalid_argument("a recurrent network takes f32 sequences");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    return invalid_argument("a recurrent network's direction is unknown");
  Recurrence r;
  r.batch_first = i.integer("layout", 0) != 0;
  r.steps = x.dims[r.batch_first ? 1 : 0];
  r.batch = x.dims[r.batch_first ? 0 : 1];
  r.inputs = x.dims[2];
  r.hidden = recurrent.dims[2];
  r.gates = gates;
  r.directions = direction == "bidirectional" ? 2 : 1;
  r.first_reversed = direction == "reverse";
  r.clip = i.real("clip", 0.0f);
  if (r.hidden < 1 || r.hidden > 1 << 28 || i.integer("hidden_size", r.hidden) != r.hidden)
    return invalid_argument("a recurrent network's hidden_size doesn't fit");
  // Half of what a value may take: sizes of scratch are sums of such products.
  const double work = (static_cast<double>(r.steps) + 1) * static_cast<double>(r.batch) *
                      static_cast<double>(r.width());
  if (!(work < 0x1p39)) return invalid_argument("a recurrent network's sequence is too long");
  THIMBLE_TRY(check_input(call, 1, {r.directions, r.width(), r.inputs}, "W"));
  THIMBLE_TRY(check_input(call, 2, {r.directions, r.width(), r.hidden}, "R"));
  THIMBLE_TRY(check_input(call, 3, {r.directions, 2 * r.width()}, "B"));
  const Dims state =
      r.batch_first ? Dims{r.batch, r.directions, r.hidden} : Dims{r.directions, r.batch, r.hidden};
  THIMBLE_TRY(check_input(call, 5, state, "initial_h"));
  if (gates == 4) {
    THIMBLE_TRY(check_input(call, 6, state, "initial_c"));
    THIMBLE_TRY(check_input(call, 7, {r.directions, 3 * r.hidden}, "P"));
  }
  THIMBLE_TRY(check_tiles(call, 1, r, r.inputs));
  THIMBLE_TRY(check_tiles(call, 2, r, r.hidden));
  THIMBLE_TRY(check_lengths(call, r));
  THIMBLE_TRY(read_activations(call, defaults, r));
  return r;
}

void activate(Machine& machine, const Activation& f, float clip, float* x, std::int64_t count) {
  if (clip > 0) {
    for (std::int64_t i = 0; i < count; ++i) x[i] = std::min(std::max(x[i], -clip), clip);
  }
  switch (f.kind) {
    case Kind::kTanh:
      return machine.rows.map(kernels::Function::kTanh, x, count, x);
    case Kind::kSigmoid:
      return machine.rows.map(kernels::Function::kSigmoid, x, count, x);
    case Kind::kRelu:
      return machine.rows.map(kernels::Function::kRelu, x, count, x);
    default:
      for (std::int64_t i = 0; i < count; ++i) x[i] = value_of(f, x[i]);
  }
}

std::size_t product_scratch(const Call& call, const Recurrence& r) {
  std::size_t each = 0;
  const std::int64_t rows[] = {r.steps * r.batch, r.batch};
  for (std::size_t i = 0; i < 2; ++i) {
    const Value& weight = *call.inputs[i + 1];
    if (weight.tensor != nullptr)
      each = std::max(each, kernels::linear_scratch_bytes(rows[i], weight.grouped.inputs));
  }
  return round_up<std::size_t>(each, 64) * static_cast<std::size_t>(call.machine.pool.threads());
}

void multiply_rows(Machine& machine, const float* x, std::int64_t rows, std::int64_t inputs,
                   const RowsOf& weight, float* y, std::int64_t y_stride,
                   std::span<std::byte> scratch) {
  if (weight.weight->tensor != nullptr) {
    const std::int64_t first = weight.first / kernels::kTileRows;
    const std::int64_t tiles = ceil_div<std::int64_t>(weight.outputs, kernels::kTileRows);
    const kernels::GroupedWeight part = tiles_of(weight.weight->grouped, first, first + tiles);
    const int threads = machine.pool.threads();
    ScratchParts parts(scratch, threads, scratch.size() / static_cast<std::size_t>(threads));
    over_rows(machine, parts, tiles, inputs * rows * kernels::kTileRows,
              [&](std::int64_t begin, std::int64_t end, std::byte* memory) {
                machine.linear.grouped_f32(part, x, rows, inputs, begin, end, y, y_stride, memory);
              });
    return;
  }
  kernels::DenseWeight view;
  view.rows = weight.outputs;
  view.inputs = inputs;
  view.type = kernels::FloatType::kF32;
  view.data = weight.weight->floats() + weight.first * inputs;
  over_rows(machine, weight.outputs, inputs * rows, [&](std::int64_t begin, std::int64_t end) {
    machine.linear.dense(view, x, rows, inputs, begin, end, y, y_stride);
  });
}

}  // namespace thimble::runtime
