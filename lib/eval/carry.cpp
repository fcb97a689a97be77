#include "eval/carry.h"

#include <algorithm>

#include "eval/arrays.h"

namespace thimble::eval {
namespace {

// The size that one of the arrays gives a symbol.
std::int64_t size_of_symbol(const program::Program& program, const std::string& symbol,
                            const std::vector<data::Array>& arrays) {
  for (const std::int32_t index : program.regions[0].inputs) {
    const program::Slot& slot = program.slot(index);
    const data::Array* array = data::find(arrays, slot.name);
    if (array == nullptr) continue;
    for (std::size_t d = 0; d < std::min(slot.dims.size(), array->dims.size()); ++d) {
      if (symbol_of(program, slot.dims[d]) == symbol) return array->dims[d];
    }
  }
  return 1;
}

}  // namespace

Expected<std::vector<CarriedState>> parse_states(std::string_view text) {
  std::vector<CarriedState> states;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view entry = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t equals = entry.find('=');
    if (equals == std::string_view::npos || equals == 0 || equals + 1 == entry.size()) {
      return invalid_argument("a state is INPUT=OUTPUT, not '" + std::string(entry) + "'")
          .fix("name the input and the output that it comes from, as in state=stateN");
    }
    states.push_back({std::string(entry.substr(0, equals)), std::string(entry.substr(equals + 1))});
  }
  return states;
}

std::vector<data::InputSpec> without_states(std::vector<data::InputSpec> inputs,
                                            const std::vector<CarriedState>& states) {
  std::erase_if(inputs, [&](const data::InputSpec& input) {
    return std::any_of(states.begin(), states.end(),
                       [&](const CarriedState& state) { return state.input == input.name; });
  });
  return inputs;
}

Expected<Carrier::Link> Carrier::link(const CarriedState& state) const {
  std::vector<std::string> inputs;
  for (const std::int32_t index : program_->regions[0].inputs) {
    const program::Slot& slot = program_->slot(index);
    if (slot.kind != program::Slot::Kind::kInput) continue;
    if (slot.name != state.input) {
      inputs.push_back(slot.name);
      continue;
    }
    const std::vector<std::string> outputs = output_names(*program_);
    const auto output = std::find(outputs.begin(), outputs.end(), state.output);
    if (output == outputs.end()) {
      return invalid_argument("the model has no output '" + state.output + "'" +
                              did_you_mean(state.output, outputs));
    }
    const auto place = static_cast<std::size_t>(output - outputs.begin());
    const auto from = static_cast<std::size_t>(program_->regions[0].outputs[place]);
    const program::Slot& source = program_->slots[from];
    const bool cache = std::any_of(
        program_->states.begin(), program_->states.end(),
        [&](const program::State& own) { return static_cast<std::size_t>(own.output) == from; });
    if (cache) {
      return invalid_argument("the output '" + state.output +
                              "' is a state that the model keeps itself");
    }
    const bool other_rank = !source.dynamic && source.dims.size() != slot.dims.size();
    if (source.type != slot.type || other_rank) {
      return invalid_argument("the output '" + state.output + "' is not of the type and rank of '" +
                              state.input + "'");
    }
    return Link{slot.name, index, place};
  }
  return invalid_argument("the model has no input '" + state.input + "'" +
                          did_you_mean(state.input, inputs));
}

Expected<Carrier> Carrier::create(const program::Program& program,
                                  std::vector<CarriedState> states) {
  Carrier carrier(program);
  for (const CarriedState& state : states) {
    THIMBLE_ASSIGN(Link link, carrier.link(state));
    const bool again = std::any_of(carrier.links_.begin(), carrier.links_.end(),
                                   [&](const Link& other) { return other.slot == link.slot; });
    if (again) return invalid_argument("the input '" + state.input + "' is carried twice");
    carrier.links_.push_back(std::move(link));
  }
  return carrier;
}

data::Array Carrier::zeros(const Link& link, const std::vector<data::Array>& arrays) const {
  const program::Slot& slot = program_->slot(link.slot);
  runtime::TensorView view{slot.type, {}, nullptr};
  for (const program::Size& size : slot.dims) {
    const std::int64_t fixed = fixed_size(size);
    const auto symbol = symbol_of(*program_, size);
    view.dims.push_back(fixed >= 0 ? fixed
                        : symbol   ? size_of_symbol(*program_, *symbol, arrays)
                                   : 1);
  }
  const std::vector<std::byte> bytes(static_cast<std::size_t>(view.count()) *
                                     static_cast<std::size_t>(program::type_bytes(slot.type)));
  view.data = bytes.data();
  return array_of(link.input, view);
}

void Carrier::give(std::vector<data::Array>& arrays) const {
  for (const Link& link : links_) {
    const data::Array* held = data::find(held_, link.input);
    arrays.push_back(held != nullptr ? *held : zeros(link, arrays));
  }
}

void Carrier::take(const runtime::Session& session) {
  held_.clear();
  for (const Link& link : links_)
    held_.push_back(array_of(link.input, session.outputs()[link.output]));
}

Expected<CarryingSession> CarryingSession::create(const program::Bundle& bundle,
                                                  const std::vector<CarriedState>& states,
                                                  ThreadPool& pool,
                                                  const runtime::SessionOptions& options) {
  THIMBLE_ASSIGN(Carrier carrier, Carrier::create(bundle.program, states));
  THIMBLE_ASSIGN(auto session, runtime::Session::create(bundle, pool, options));
  return CarryingSession(std::move(carrier), std::move(session));
}

Status CarryingSession::call(std::vector<data::Array>& arrays, bool begins) {
  session_->reset();
  if (begins) carrier_.reset();
  carrier_.give(arrays);
  THIMBLE_ASSIGN(const auto views, bind_inputs(session_->bundle().program, arrays));
  THIMBLE_TRY(session_->run(views));
  carrier_.take(*session_);
  return ok();
}

}  // namespace thimble::eval
