#pragma once
// What the rounds of a Loop or Scan read and leave, in memory of its own: values that one round
// hands to the next, inputs that are read slice by slice, results that are stacked.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/values.h"

namespace thimble::runtime {

// Values that a loop hands from one round to the next. All are taken before any is given: a body
// may exchange them.
class Carried {
 public:
  // `name`: of the value, for errors.
  Status take(const Value& value, const std::string& name);
  Value at(std::size_t i) const;
  void clear();

 private:
  struct Held {
    program::Type type;
    Dims dims;
    Memory memory;
  };
  std::vector<Held> held_;
  std::size_t bytes_ = 0;
};

// The axis of a value that rounds go along, and from which end.
struct Along {
  std::int64_t axis = 0;
  bool backwards = false;
};

// What a loop reads slice by slice, the scanned axis moved to the front.
class Sequence {
 public:
  static Expected<Sequence> of(const Value& x, Along along);
  std::int64_t length() const { return length_; }
  Value slice(std::int64_t round);

 private:
  std::vector<std::byte> bytes_;
  Value slice_;  // of the current round
  std::int64_t length_ = 0;
  bool backwards_ = false;
};

// Results of each round, stacked along an axis in the end.
class Stack {
 public:
  explicit Stack(Along along = {}) : along_(along) {}
  // `name`: of the value, for errors.
  Status add(const Value& value, const std::string& name);
  // `type` where there was no round at all.
  Expected<Value> stacked(program::Type type);

 private:
  Status reserve(std::size_t bytes);
  void reverse(std::size_t slice);

  Along along_;
  Memory memory_;
  std::size_t bytes_ = 0;  // of it, that rounds have given
  Value round_;            // dims of the last one
  std::int64_t rounds_ = 0;
};

}  // namespace thimble::runtime
