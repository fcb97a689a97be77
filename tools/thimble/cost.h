#pragma once
// What compressing will take, in seconds and bytes, told from the model's shapes before any work.

#include <cstdint>

#include "ir/model.h"
#include "recipe/recipe.h"

namespace thimble::cli {

// Samples that go through a model: of so many tokens each; 1 where sizes are the graph's own.
struct Samples {
  std::int64_t count = 0;
  std::int64_t tokens = 1;
};

// What a budget is going to measure.
struct BudgetWork {
  double encoded = 0;  // weights that are encoded to price offers, over all offers
  double fitted = 0;   // offers whose levels are fitted
  bool compensates = false;
  std::size_t trials = 0;  // runs from a changed block on
  Samples slopes;          // what they run on
  Samples whole;     // what the whole model and the result run on in the end, beside each other
  int measured = 0;  // how often they do
};

// The calls of a data set, at most so many (0: all).
Expected<Samples> samples_in(const ir::Model& model, const recipe::DataSet& set, std::int64_t most);
// The calibration's samples: as the recipe's data have them; without data its tokens. None where no
// pass calibrates.
Expected<Samples> calibration_samples(const ir::Model& model, const recipe::Recipe& recipe);

// Estimates. Seconds are those of one thread of a core at 3.6 GHz with AVX2.
struct Cost {
  double weights = 0;  // reading, quantizing and packing them
  double calibration = 0;
  double budget = 0;
  std::uint64_t memory = 0;    // at its most, beside what is mapped of the source
  std::uint64_t resident = 0;  // at its most, with it

  double seconds() const { return weights + calibration + budget; }
};
Cost cost_of(const ir::Model& model, const Samples& calibration, const BudgetWork& budget,
             int threads);

}  // namespace thimble::cli
