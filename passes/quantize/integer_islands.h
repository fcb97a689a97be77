#pragma once
// What lies between quantized operators: values that need a scale too, so that an engine with int8
// kernels goes from one to the next without floats.

#include <map>
#include <set>
#include <vector>

#include "ir/model.h"

namespace thimble::passes {

class IntegerIslands {
 public:
  // `inputs`: what quantized products and convolutions read as int8. Grows by the results of these
  // convolutions, and of whatever integer_form() knows that reads values of the island only. Not by
  // outputs of the model, nor by what a product with other activations reads.
  IntegerIslands(const ir::Model& model, const std::vector<ir::ValueId>& inputs);

  // The inputs first, then the rest in the graph's order.
  const std::vector<ir::ValueId>& values() const { return values_; }
  // Values that stand for the same numbers, or for parts of them, have one leader: one scale fits
  // them all, and moving codes takes no arithmetic.
  ir::ValueId leader(ir::ValueId value) const;

 private:
  void grow(ir::NodeId id);
  void trim();
  bool works_on_codes(ir::NodeId id) const;
  ir::ValueId result_of(ir::NodeId id) const;
  void share_scales(ir::NodeId id);
  bool reads_scales(ir::NodeId id) const;
  bool may_have_scale(ir::ValueId value) const;
  void share(ir::ValueId a, ir::ValueId b);
  void add(ir::ValueId value);

  const ir::Model& model_;
  std::vector<ir::ValueId> values_;
  std::ptrdiff_t inputs_ = 0;  // of values_
  std::set<ir::ValueId> known_;
  std::map<ir::ValueId, ir::ValueId> parents_;  // a forest of those that share
};

}  // namespace thimble::passes
