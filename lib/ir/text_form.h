#pragma once
// What print.cpp and parse.cpp share. The text form, by example:
//
//   model {architecture = "LlamaForCausalLM", max_context = 2048, task = "generate"}
//   state %past_key.0 <- %present_key.0
//   weight @model.norm.weight: f32[4] = [1.0, 1.0, 1.0, 1.0]
//   weight @up.weight: bf16[576, 4] as int4 group 32 symmetric f16 parameters 2304
//   graph main(%x: f32[batch, seq, 4], %past_key.0: f32[batch, 1, past, 4]) {
//     %t: f32[4, 576] = Transpose(@up.weight) {perm = [1, 0]}
//     %y: f32[batch, seq, 576] as int8 = MatMul(%x, %t)  // model.layers.0.mlp.up_proj
//     return %y
//   }
//
// - `@name` is a weight; used in a node it stands for the weight's constant. A constant named
//   otherwise has its own line: `%name = @weight`. Weights of equal names get a suffix `.1`.
// - Names of other characters than letters, digits and `_ . / $ -` are quoted: %"a::b".
// - `_` is an absent input or result. Types may be left out; `*` is an unknown shape.
// - After a node, `// text` is its name; a line that begins with `//` is a comment.
// - `domain::Op` names an operator outside of ai.onnx. `#0` is a body, which stands above:
//   `body name(...) {...}`. A body that reads values of the graph around it lists them, by the
//   names that they have there: `body name(%x: f32[n]) captures (%y: f32[n]) {...}`.
// - Attributes: 1, 1.0, "text", [1, 2], [1.0], ["a"], @weight, #0; empty lists are ints[],
//   floats[], strings[].
// - A weight's values are printed when it is dense, small and of a plain type. Strings escape
//   quotes, backslashes and control characters as \xNN.

#include <cstddef>
#include <optional>
#include <vector>

#include "ir/graph.h"

namespace thimble::ir {

inline bool is_bare(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '/' || c == '$' || c == '-';
}

struct PlainValues {
  std::size_t count = 0;
  std::vector<std::byte> bytes;
};

// The bytes of a list of numbers as a tensor of `type`: whole numbers for any type, others for
// floats.
std::optional<PlainValues> plain_values(DType type, const AttributeValue& list);

}  // namespace thimble::ir
