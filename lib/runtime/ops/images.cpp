// Operators over images and sequences, listed.

#include "runtime/ops/images.h"

namespace thimble::runtime {

std::span<const Operator> image_operators() {
  static const std::vector<Operator> kAll = [] {
    std::vector<Operator> all;
    for (const auto family :
         {convolution_operators, whole_convolutions, tiled_convolutions, panel_convolutions,
          coded_convolutions, coded_images, coded_pools, pool_operators, normalization_operators,
          rearranging_operators, resize_operators, recurrent_operators, sampling_operators,
          spreading_operators, row_normalizations}) {
      const std::span<const Operator> some = family();
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }();
  return kAll;
}

}  // namespace thimble::runtime
