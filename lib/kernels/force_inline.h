#pragma once
// For the innermost pieces of a kernel: left to itself, GCC calls some of them, and then the
// vectors that they share go through memory.
#ifndef THIMBLE_FORCE_INLINE
#define THIMBLE_FORCE_INLINE [[gnu::always_inline]] inline
#endif
