#pragma once
// What need not be found again when a call's sizes are those of the call before.

#include "program/program.h"

namespace thimble::runtime {

// Do the instruction's results' sizes, its checks and its scratch depend on its inputs' types and
// dims alone, or on constants besides?
bool depends_on_dims(const program::Instruction& instruction, const program::Program& program);

}  // namespace thimble::runtime
