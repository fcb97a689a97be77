#pragma once
// The passes, each in a .cpp of its own; all.cpp lists them.

#include "pass/pass.h"

namespace thimble::passes {

// simplify/
pass::Registration simplify();
pass::Registration dead_code();
pass::Registration constant_folding();
pass::Registration remove_identities();
pass::Registration cancel_movement();
pass::Registration share_expressions();
pass::Registration share_weights();
pass::Registration fold_shapes();
pass::Registration fix_inputs();
pass::Registration fold_branches();
pass::Registration fold_pads();
pass::Registration crop_kernels();
pass::Registration fold_scales();
pass::Registration fold_indices();
pass::Registration fuse_activations();
pass::Registration fuse_norms();
pass::Registration fuse_rope();
pass::Registration fuse_attention();

// quantize/
pass::Registration convert_floats();
pass::Registration rotate();
pass::Registration smooth();
pass::Registration awq();
pass::Registration gptq();
pass::Registration hqq();
pass::Registration quantize_weights();
pass::Registration low_rank();
pass::Registration correct_scales();
pass::Registration correct_bias();
pass::Registration quantize_activations();

}  // namespace thimble::passes
