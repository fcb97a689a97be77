#pragma once
// Elementary functions that give the same bits on every machine: basic arithmetic, fma and sqrt
// only, no libm. Nothing that decides a byte of an artifact calls libm; it calls these.
//
// f32 results are within 1 ulp of the correctly rounded value over the stated range (computed in
// f64); f64 results within 1e-15 relative, or 4 of the least subnormal. Special values are those of
// C's functions, except that every NaN result is the one positive quiet NaN.

namespace thimble::math {

float exp(float x);  // all x; overflow to inf, underflow to 0
float expm1(float x);
float log(float x);  // x < 0 gives NaN, 0 gives -inf
float log1p(float x);
float pow(float x, float y);
float sin(float x);  // |x| <= 2^30 (beyond it NaN, as for cos), by Cody-Waite reduction
float cos(float x);
float tanh(float x);
float erf(float x);
float sigmoid(float x);  // 1 / (1 + exp(-x)) without overflow
float atan(float x);

double exp(double x);
double log(double x);
double pow(double x, double y);
double sin(double x);
double cos(double x);

}  // namespace thimble::math
