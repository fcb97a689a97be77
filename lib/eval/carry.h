#pragma once
// States of models that are called frame by frame: what one call gives goes into the next by name.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/samples.h"
#include "program/bundle.h"
#include "runtime/session.h"

namespace thimble::eval {

// An input that takes what an output gave in the call before.
struct CarriedState {
  std::string input;
  std::string output;
};
// "state=stateN", several separated by commas; empty: none.
Expected<std::vector<CarriedState>> parse_states(std::string_view text);
// The inputs that a call brings itself.
std::vector<data::InputSpec> without_states(std::vector<data::InputSpec> inputs,
                                            const std::vector<CarriedState>& states);

class Carrier {
 public:
  // Errors: names that the program lacks, an input and an output of different types or ranks. The
  // program must outlive the carrier.
  static Expected<Carrier> create(const program::Program& program,
                                  std::vector<CarriedState> states);

  void reset() { held_.clear(); }
  // Adds the states to a call's arrays: what the call before gave, or zeros. Of those, an axis that
  // the program leaves open has the size that another input gives its symbol, or else 1.
  void give(std::vector<data::Array>& arrays) const;
  // Keeps what the session's run gave.
  void take(const runtime::Session& session);

  const std::vector<data::Array>& held() const { return held_; }  // by the inputs' names

 private:
  struct Link {
    std::string input;
    std::int32_t slot;   // of the input
    std::size_t output;  // of the session
  };
  explicit Carrier(const program::Program& program) : program_(&program) {}
  Expected<Link> link(const CarriedState& state) const;
  data::Array zeros(const Link& link, const std::vector<data::Array>& arrays) const;

  const program::Program* program_;
  std::vector<Link> links_;
  std::vector<data::Array> held_;
};

// A session that is called with arrays, and hands the states on.
class CarryingSession {
 public:
  // The bundle must outlive it.
  static Expected<CarryingSession> create(const program::Bundle& bundle,
                                          const std::vector<CarriedState>& states, ThreadPool& pool,
                                          const runtime::SessionOptions& options = {});
  // The arrays gain the states. `begins`: a new sequence.
  Status call(std::vector<data::Array>& arrays, bool begins);
  const std::vector<runtime::TensorView>& outputs() const { return session_->outputs(); }

 private:
  CarryingSession(Carrier carrier, std::unique_ptr<runtime::Session> session)
      : carrier_(std::move(carrier)), session_(std::move(session)) {}

  Carrier carrier_;
  std::unique_ptr<runtime::Session> session_;
};

}  // namespace thimble::eval
