#include <algorithm>
#include <numeric>

#include "runtime/generate.h"

namespace thimble::runtime {
namespace {

constexpr std::string_view kPositions = "position_ids";

}  // namespace

bool ends_text(const program::Bundle& bundle, const tokenizer::Tokenizer* tokenizer,
               std::int32_t token) {
  const auto& ids = bundle.generation.eos_token_ids;
  if (std::find(ids.begin(), ids.end(), token) != ids.end()) return true;
  return tokenizer != nullptr && tokenizer->eos() == token;
}

std::int64_t learnt_positions(const program::Program& program) {
  for (const program::Instruction& instruction : program.regions[0].instructions) {
    if (instruction.op != program::Op::kGather) continue;
    const program::Slot& table = program.slot(instruction.inputs[0]);
    const program::Slot& positions = program.slot(instruction.inputs[1]);
    if (positions.kind != program::Slot::Kind::kInput || positions.name != kPositions) continue;
    if (table.tensor < 0 || instruction.integer("axis", 0) != 0) continue;
    return program.tensor(table.tensor).dims[0];
  }
  return 0;
}

Status check_positions(const program::Program& program, std::int64_t wanted) {
  const std::int64_t learnt = learnt_positions(program);
  if (learnt == 0 || wanted <= learnt) return ok();
  return invalid_argument("the model has learnt " + std::to_string(learnt) +
                          " positions; a context of " + std::to_string(wanted) +
                          " tokens is beyond them")
      .fix("use a context of " + std::to_string(learnt) + " tokens at most");
}

struct Decoder::State {
  std::unique_ptr<Session> session;
  std::int64_t vocabulary = 0;
  std::vector<std::int64_t> ids, positions, wanted;
  std::size_t logits_output = 0;

  // Has the model positions for so many more tokens?
  Status check_room(std::size_t tokens) const {
    return check_positions(session->bundle().program,
                           session->cached() + static_cast<std::int64_t>(tokens));
  }
  // Feeds one chunk; the logits of its rows from `first` on are the session's output afterwards.
  Status feed_chunk(std::span<const std::int32_t> tokens, std::int64_t first);
  const float* logits() const {
    return static_cast<const float*>(session->outputs()[logits_output].data);
  }
};

Status Decoder::State::feed_chunk(std::span<const std::int32_t> tokens, std::int64_t first) {
  const auto count = static_cast<std::int64_t>(tokens.size());
  ids.assign(tokens.begin(), tokens.end());
  positions.resize(tokens.size());
  std::iota(positions.begin(), positions.end(), session->cached());
  wanted.resize(static_cast<std::size_t>(count - first));
  std::iota(wanted.begin(), wanted.end(), first);
  std::vector<TensorView> inputs;
  const program::Program& program = session->bundle().program;
  for (const std::int32_t index : program.regions[0].inputs) {
    const program::Slot& slot = program.slot(index);
    if (slot.kind == program::Slot::Kind::kState) continue;
    if (slot.name == "input_ids") inputs.push_back({program::Type::kI64, {1, count}, ids.data()});
    if (slot.name == kPositions)
      inputs.push_back({program::Type::kI64, {1, count}, positions.data()});
    if (slot.name == "logit_positions")
      inputs.push_back({program::Type::kI64, {count - first}, wanted.data()});
  }
  return session->run(inputs);
}

Decoder::Decoder(std::unique_ptr<State> state) : state_(std::move(state)) {}
Decoder::~Decoder() = default;

Expected<std::unique_ptr<Decoder>> Decoder::create(const program::Bundle& bundle, ThreadPool& pool,
                                                   const SessionOptions& options) {
  const program::Program& program = bundle.program;
  THIMBLE_TRY(check_positions(program, options.max_context));
  auto state = std::make_unique<State>();
  THIMBLE_ASSIGN(state->session, Session::create(bundle, pool, options));
  const auto& outputs = program.regions[0].outputs;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const program::Slot& slot = program.slot(outputs[i]);
    if (slot.name != "logits" || slot.dims.empty()) continue;
    THIMBLE_ASSIGN(
        state->vocabulary,
        program::evaluate(slot.dims.back(), std::vector<std::int64_t>(program.symbols.size(), 1)));
    state->logits_output = i;
  }
  if (state->vocabulary == 0)
    return unsupported("the model generates no text: it has no output 'logits'");
  return std::unique_ptr<Decoder>(new Decoder(std::move(state)));
}

Expected<std::span<const float>> Decoder::feed(std::span<const std::int32_t> tokens,
                                               const std::function<void(std::int64_t)>& on_chunk) {
  if (tokens.empty()) return invalid_argument("there are no tokens to feed");
  THIMBLE_TRY(state_->check_room(tokens.size()));
  for (std::size_t at = 0; at < tokens.size(); at += kChunk) {
    const std::size_t count = std::min<std::size_t>(kChunk, tokens.size() - at);
    THIMBLE_TRY(
        state_->feed_chunk(tokens.subspan(at, count), static_cast<std::int64_t>(count) - 1));
    if (on_chunk) on_chunk(static_cast<std::int64_t>(count));
  }
  return std::span<const float>(state_->logits(), static_cast<std::size_t>(state_->vocabulary));
}

Status Decoder::feed_all(std::span<const std::int32_t> tokens, std::int64_t first,
                         const std::function<void(std::int64_t, std::span<const float>)>& visit) {
  const auto total = static_cast<std::int64_t>(tokens.size());
  THIMBLE_TRY(state_->check_room(tokens.size()));
  for (std::int64_t at = 0; at < total; at += kChunk) {
    const std::int64_t count = std::min(kChunk, total - at);
    const std::int64_t from = std::clamp<std::int64_t>(first - at, 0, count);
    THIMBLE_TRY(state_->feed_chunk(
        tokens.subspan(static_cast<std::size_t>(at), static_cast<std::size_t>(count)), from));
    for (std::int64_t i = from; i < count; ++i) {
      visit(at + i, std::span(state_->logits() + (i - from) * state_->vocabulary,
                              static_cast<std::size_t>(state_->vocabulary)));
    }
  }
  return ok();
}

std::int64_t Decoder::cached() const { return state_->session->cached(); }
std::int64_t Decoder::capacity() const {
  const std::int64_t learnt = learnt_positions(state_->session->bundle().program);
  const std::int64_t room = state_->session->capacity();
  return learnt > 0 ? std::min(learnt, room) : room;
}
Status Decoder::truncate(std::int64_t positions) { return state_->session->truncate(positions); }
void Decoder::reset() { state_->session->reset(); }
std::int64_t Decoder::vocabulary() const { return state_->vocabulary; }
Session& Decoder::session() { return *state_->session; }

}  // namespace thimble::runtime
