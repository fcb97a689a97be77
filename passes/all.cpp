#include "passes/all.h"

#include "passes/registrations.h"

namespace thimble::passes {

std::span<const pass::Registration> all() {
  static const pass::Registration kAll[] = {
      simplify(),
      dead_code(),
      constant_folding(),
      remove_identities(),
      cancel_movement(),
      share_expressions(),
      share_weights(),
      fold_shapes(),
      fix_inputs(),
      fold_branches(),
      fold_pads(),
      crop_kernels(),
      fold_scales(),
      fold_indices(),
      fuse_activations(),
      fuse_norms(),
      fuse_rope(),
      fuse_attention(),
      convert_floats(),
      rotate(),
      smooth(),
      awq(),
      gptq(),
      hqq(),
      quantize_weights(),
      low_rank(),
      correct_scales(),
      correct_bias(),
      quantize_activations(),
  };
  return kAll;
}

const pass::Registration* find(std::string_view name) {
  for (const pass::Registration& registration : all()) {
    if (registration.info.name == name) return &registration;
  }
  return nullptr;
}

}  // namespace thimble::passes
