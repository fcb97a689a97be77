#pragma once
// What a recipe leaves to its budget, and how passes ask for it. lib/allocate answers.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ir/model.h"
#include "support/expected.h"

namespace thimble::pass {

enum class BudgetKind : std::uint8_t { kNone, kSize, kBitsPerWeight, kKlMean };
enum class Sensitivity : std::uint8_t {
  kLayer,  // error of each product's outputs, times a slope per layer and role
  kKl,     // the same with a slope per tensor, from quantizing it alone twice
};

struct Budget {
  BudgetKind kind = BudgetKind::kNone;
  double value = 0;  // bytes of the file, bits per weight, nats
  Sensitivity sensitivity = Sensitivity::kLayer;
  std::string text;  // as written: "size: 60MB"
};

// What of an encoding follows from the weight's numbers.
enum class Fit : std::uint8_t { kNothing, kLevels, kScaleExponent };

// A dense encoding means the weight as it is. One with something to be fitted comes with what it
// would be for any weight.
struct Offer {
  ir::Encoding encoding;
  Fit fit = Fit::kNothing;
};

// A weight that a pass would write in any of these encodings.
struct OpenWeight {
  ir::WeightId weight;
  int axis = 1;        // of the weight's dims: the inputs
  bool search = true;  // scales are searched for, not taken from the extremes
  std::vector<Offer> offers;
  bool compensates = false;  // codes will make up for each other's errors on the calibration (gptq)
};

struct Allotment {
  std::size_t offer = 0;  // of those made
  ir::Encoding encoding;  // the offer's, fitted where its errors were measured
  std::string why;
};

class Allocator {
 public:
  virtual ~Allocator() = default;
  virtual Expected<Allotment> choose(const ir::Model& model, const OpenWeight& weight) = 0;
};

}  // namespace thimble::pass
