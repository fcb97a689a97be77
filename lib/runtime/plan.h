#pragma once
// Where activations lie: slots whose lives don't overlap share memory.

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "program/program.h"

namespace thimble::runtime {

struct Plan {
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t bytes = 0;
  std::vector<std::uint64_t> offset;  // by slot; kNone: not in the arena
  std::vector<std::pair<std::int32_t, std::int32_t>>
      aliases;  // (slot, whose memory it is), in order
};

// First fit by order of the first write, over lifetimes from the first write to the last read. A
// reshape's result is its input under other dims, and what is put together lives with its parts.
class Planner {
 public:
  Planner(const program::Program& program, const program::Region& region);
  void set_bytes(std::int32_t slot, std::uint64_t bytes) {
    bytes_[static_cast<std::size_t>(slot)] = bytes;
  }
  void keep_out(std::int32_t slot) {
    out_[static_cast<std::size_t>(slot)] = true;
  }  // lives elsewhere
  // `part` lies `offset` bytes into `whole`, which is put together from it. Where it can't lie
  // there, for it lives elsewhere or in another one, nothing changes.
  void put_within(std::int32_t part, std::int32_t whole, std::uint64_t offset);
  Plan make() const;

 private:
  struct Place {
    std::int32_t whole;  // that no other one holds
    std::uint64_t offset;
  };
  Place place_of(std::int32_t slot) const;
  std::vector<std::size_t> last_reads() const;  // by slot: the instruction
  std::int32_t root(std::int32_t slot) const;
  void read_in(const program::Instruction& instruction, std::size_t at,
               std::vector<std::size_t>& last) const;

  const program::Program& program_;
  const program::Region& region_;
  std::vector<std::uint64_t> bytes_;
  std::vector<bool> out_;
  std::vector<std::int32_t> alias_;  // of a reshape's result: its input; else itself
  std::vector<Place> within_;        // of a part: its whole; else itself
};

}  // namespace thimble::runtime
