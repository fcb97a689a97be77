#pragma once
// NumPy arrays as what sessions take and give.

#include <optional>
#include <string>
#include <vector>

#include "data/npz.h"
#include "data/samples.h"
#include "program/program.h"
#include "runtime/session.h"

namespace thimble::eval {

// A view of the array's bytes; an error for types that sessions don't take.
Expected<runtime::TensorView> view_of(const data::Array& array);
// A copy; of bf16, which NumPy lacks, as f32.
data::Array array_of(std::string name, const runtime::TensorView& view);
// Writes an array of floats in another float type; nothing is done to other arrays and for other
// types.
void fit_floats(data::Array& array, program::Type type);

// A size that no symbol changes; -1 for others.
std::int64_t fixed_size(const program::Size& size);
// The symbol that a size is, where it is one.
std::optional<std::string> symbol_of(const program::Program& program, const program::Size& size);

// The inputs that a call brings (states are not among them), in order; halves are asked for as f32.
std::vector<const program::Slot*> input_slots(const program::Program& program);
data::InputSpec spec_of(const program::Slot& slot);
std::vector<data::InputSpec> input_specs(const program::Program& program);
// Views for Session::run, in the program's order; floats become those of the input. An array that
// isn't there is an error that lists what the model takes.
Expected<std::vector<runtime::TensorView>> bind_inputs(const program::Program& program,
                                                       std::vector<data::Array>& arrays);
// Names of Session::outputs(), in order.
std::vector<std::string> output_names(const program::Program& program);

}  // namespace thimble::eval
