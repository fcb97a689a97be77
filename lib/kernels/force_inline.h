#pragma once
// For the innermost pieces of a kernel: left to itself, GCC calls some of them, and then the
// vectors that they share go through memory.
#ifndef THIMBLE_FORCE_INLINE
#define THIMBLE_FORCE_INLINE [[gnu::always_inline]] inline
#endif
// Before a short loop over vectors: GCC unrolls it early enough for them to be registers.
#ifndef THIMBLE_UNROLL
#if defined(__clang__)
#define THIMBLE_UNROLL
#else
#define THIMBLE_UNROLL _Pragma("GCC unroll 16")
#endif
#endif
