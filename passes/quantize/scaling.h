#pragma once
// Products whose inputs can be scaled channel by channel without changing what the model computes:
// the products' weights are multiplied, and what makes the inputs divided, by the same factors
// (SmoothQuant, Xiao et al. 2022, arXiv 2211.10438; AWQ, Lin et al. 2023, arXiv 2306.00978).

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "ir/match.h"
#include "pass/pass.h"

namespace thimble::passes {

// A constant that an operator before the products reads; channels lie along one of its axes.
struct Absorber {
  ir::NodeId node;  // that reads it
  std::size_t input = 0;
  int axis = 0;
  std::int64_t offset = 0;  // of the first channel along the axis
};

struct ScalingSite {
  ir::ValueId input;  // of every product, [..., width]
  std::int64_t width = 0;
  std::vector<ir::WeightUse> products;  // their weights, in the graph's order
  // By input channel, which factor scales it: heads that share keys and values share theirs too.
  std::vector<std::int64_t> factor_of;
  std::int64_t factors = 0;
  std::vector<Absorber> absorbers;  // each holds `factors` channels, in order
  std::string obstacle;             // why the inputs cannot be scaled; empty: they can
  std::string absorbed_by;          // names, for the report
};

// The inputs of all products with weights of their own, in the graph's order. What absorbs factors:
// the gain and bias of a norm over the last axis; the rows and bias of a product, also behind
// Split, one side of a Mul, Relu, Gather of rows, or attention's values.
std::vector<ScalingSite> find_scaling_sites(const ir::Model& model);

// Says in the report that the site's weights stay, and why.
void report_obstacle(const ir::Model& model, const ScalingSite& site, pass::PassReport& report);

// Multiplies the products' weights by factors [site.factors], all finite and > 0, and divides what
// makes their inputs. The weights become f32 thunks over what they were; a norm's gain that others
// read too is copied first.
void scale_site(ir::Model& model, const ScalingSite& site, std::span<const float> factors);

// The largest |w| of each input channel over all products of the site, [site.factors]. A weight
// that isn't finite is an error that names it.
Expected<std::vector<float>> largest_weights(const ir::Model& model, const ScalingSite& site);

}  // namespace thimble::passes
