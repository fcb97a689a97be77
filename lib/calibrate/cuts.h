#pragma once
// Where a sequence of nodes comes apart into blocks: between two products, at the last place where
// few enough values carry on what weights made so far.

#include <cstddef>
#include <vector>

#include "ir/model.h"

namespace thimble::calibrate {

class Cuts {
 public:
  // `nodes`: all that depend on an input, each after those that it reads.
  Cuts(const ir::Model& model, const std::vector<ir::NodeId>& nodes);

  // How many nodes in [begin, end) multiply a weight that an encoding may take.
  int weights(std::size_t begin, std::size_t end) const;
  // Adds the places in [begin, end) at which a new block begins, in order: where at most `carried`
  // floats go across; in pieces that are too large still, where one more does.
  void find(std::size_t begin, std::size_t end, int carried,
            std::vector<std::size_t>& places) const;

 private:
  struct Span {  // of places from what gives a value to its last reader
    std::size_t first = 0, last = 0;
  };
  void find_weighted(const ir::Model& model, const std::vector<ir::NodeId>& nodes);
  std::vector<Span> find_spans(const ir::Model& model, const std::vector<ir::NodeId>& nodes) const;

  std::vector<bool> weighted_, gathers_;  // by place
  std::vector<int> carried_;              // by place: floats that go across before it
};

}  // namespace thimble::calibrate
