#pragma once
// What was measured for a budget, kept in a journal: a run that was cut short goes on with it, and
// so does another budget of the same model, passes and texts.

#include <optional>
#include <string>

#include "allocate/errors.h"
#include "calibrate/journal.h"

namespace thimble::allocate {

class Kept {
 public:
  explicit Kept(const calibrate::Journal* journal) : journal_(journal) {}  // null: keeps nothing

  // The errors of a weight's offers; what was fitted to its numbers goes into `open`.
  std::optional<OfferErrors> find_errors(const std::string& weight, pass::OpenWeight& open) const;
  Status add_errors(const std::string& weight, const OfferErrors& errors,
                    const pass::OpenWeight& open) const;

  // A measured divergence, in nats; `key` tells which.
  std::optional<double> find_divergence(const std::string& key) const;
  Status add_divergence(const std::string& key, double divergence) const;

 private:
  const calibrate::Journal* journal_;
};

}  // namespace thimble::allocate
