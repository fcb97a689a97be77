// Operators over images and sequences, listed.

#include "runtime/ops/images.h"

namespace thimble::runtime {

std::span<const Operator> image_operators() {
  static const std::vector<Operator> kAll = join_families(
      {convolution_operators, transposed_convolutions, whole_convolutions, tiled_convolutions,
       panel_convolutions, coded_convolutions, coded_images, coded_pools, pool_operators,
       normalization_operators, rearranging_operators, resize_operators, recurrent_operators,
       sampling_operators, spreading_operators, row_normalizations});
  return kAll;
}

}  // namespace thimble::runtime
