#include "support/math.h"

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

// Method, everywhere: reduce the argument exactly enough (Cody and Waite, "Software Manual for the
// Elementary Functions", 1980), sum a Taylor series long enough for f64, put the scale back. Series
// need no fitted coefficients, so there are no tables of unknown origin; the tables below are
// computed at compile time from series of their own. Only + - * / on doubles, in the order written.

namespace thimble::math {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = 0x1.921fb54442d18p+1;
constexpr double kLog2E = 0x1.71547652b82fep+0;
// ln 2 in two parts: the first has 41 bits, so that its product with an exponent is exact.
constexpr double kLn2High = 0x1.62e42fefa3p-1;
constexpr double kLn2Low = 0x1.3de6af278ece6p-42;

constexpr bool is_nan(double x) { return x != x; }
constexpr double magnitude(double x) { return x < 0 ? -x : x; }

// Adding and subtracting this rounds |x| < 2^51 to an integer, ties to even; before the subtraction
// the low bits hold the integer itself.
constexpr double kRounder = 0x1.8p+52;

struct Rounded {
  double value;
  std::int64_t integer;
};

Rounded round_to_integer(double x) {
  const double shifted = x + kRounder;
  const std::int64_t bits = std::bit_cast<std::int64_t>(shifted);
  return {shifted - kRounder, bits - std::bit_cast<std::int64_t>(kRounder)};
}

// 2^k for -1022 <= k <= 1023.
double power_of_two(std::int64_t k) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(k + 1023) << 52);
}

// c[0] + c[1] x + ... , Horner.
template <std::size_t N>
constexpr double polynomial(const double (&c)[N], double x) {
  double sum = c[N - 1];
  for (std::size_t i = N - 1; i-- > 0;) sum = sum * x + c[i];
  return sum;
}

// A double-double: high + low, |low| at most half an ulp of high.
struct Pair {
  double high;
  double low;
};

// a + b exactly, for any a and b (Knuth).
Pair two_sum(double a, double b) {
  const double sum = a + b;
  const double b_part = sum - a;
  return {sum, (a - (sum - b_part)) + (b - b_part)};
}

// a + b exactly where |a| >= |b| (Dekker).
Pair fast_two_sum(double a, double b) {
  const double sum = a + b;
  return {sum, b - (sum - a)};
}

// a * b exactly where nothing overflows (Dekker, by splitting into 26 bits each).
Pair two_product(double a, double b) {
  constexpr double kSplitter = 0x1p27 + 1;
  const double a_shifted = a * kSplitter;
  const double b_shifted = b * kSplitter;
  const double a1 = a_shifted - (a_shifted - a);
  const double b1 = b_shifted - (b_shifted - b);
  const double a2 = a - a1;
  const double b2 = b - b1;
  const double product = a * b;
  return {product, ((a1 * b1 - product) + a1 * b2 + a2 * b1) + a2 * b2};
}

// 1/n! for n = 2 ...
constexpr double kInverseFactorial[] = {
    1.0 / 2,         1.0 / 6,          1.0 / 24,          1.0 / 120,          1.0 / 720,
    1.0 / 5040,      1.0 / 40320,      1.0 / 362880,      1.0 / 3628800,      1.0 / 39916800,
    1.0 / 479001600, 1.0 / 6227020800, 1.0 / 87178291200, 1.0 / 1307674368000};

struct ExpParts {
  double fraction;  // e^x = (1 + fraction) 2^exponent, |fraction| <= 0.42
  std::int64_t exponent;
};

// |x| <= 800.
ExpParts exp_parts(double x) {
  const Rounded k = round_to_integer(x * kLog2E);
  const double low = k.value * kLn2Low;
  const double high = x - k.value * kLn2High;  // exact
  const double r = high - low;
  const double r_low = (high - r) - low;
  const double tail = r * r * polynomial(kInverseFactorial, r);
  return {r + (r_low + tail), k.integer};
}

// For results that will be rounded to f32: degree 9 is good for 1e-11. |x| <= 800.
ExpParts exp_parts_short(double x) {
  const Rounded k = round_to_integer(x * kLog2E);
  const double r = (x - k.value * kLn2High) - k.value * kLn2Low;
  const double(&c)[14] = kInverseFactorial;
  const double r2 = r * r;
  const double r4 = r2 * r2;
  // Estrin: shorter chains than Horner.
  const double tail = ((c[0] + c[1] * r) + (c[2] + c[3] * r) * r2) +
                      ((c[4] + c[5] * r) + (c[6] + c[7] * r) * r2) * r4;
  return {r + r2 * tail, k.integer};
}

// e^x for f32, into which the double falls: overflow and subnormals are the conversion's business.
double exp_for_float(double x) {
  if (!(x < 200)) return is_nan(x) ? kNan : kInfinity;
  if (x < -200) return 0;
  const ExpParts e = exp_parts_short(x);
  return (1 + e.fraction) * power_of_two(e.exponent);
}

// e^x - 1 for f32, relatively exact near 0.
double expm1_for_float(double x) {
  if (!(x < 200)) return is_nan(x) ? kNan : kInfinity;
  if (x < -200) return -1;
  const ExpParts e = exp_parts_short(x);
  const double scale = power_of_two(e.exponent);
  return scale * e.fraction + (scale - 1);
}

// e^(x + x_low), |x_low| far below 1.
double exp_pair(double x, double x_low) {
  if (!(x < 710)) return is_nan(x) ? kNan : kInfinity;
  if (x < -750) return 0;
  const ExpParts e = exp_parts(x);
  const double value = (1 + e.fraction) + (1 + e.fraction) * x_low;
  // In two steps: 2^k itself may be out of range where the result isn't.
  const std::int64_t half = e.exponent / 2;
  return value * power_of_two(half) * power_of_two(e.exponent - half);
}

struct Normalized {
  double mantissa;  // in [sqrt(1/2), sqrt(2))
  double exponent;
};

// x positive and finite.
Normalized normalize(double x) {
  std::int64_t exponent = 0;
  if (x < 0x1p-1022) {
    x *= 0x1p54;
    exponent = -54;
  }
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(x);
  exponent += static_cast<std::int64_t>(bits >> 52) - 1023;
  double mantissa = std::bit_cast<double>((bits & 0xfffffffffffffu) | 0x3ff0000000000000u);
  if (mantissa >= 0x1.6a09e667f3bcdp+0) {
    mantissa *= 0.5;
    ++exponent;
  }
  return {mantissa, static_cast<double>(exponent)};
}

// 2 (atanh(s) / s - 1) / s^2 as a series in s^2, for |s| <= 0.172.
constexpr double kAtanh[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                             2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};

double atanh_tail(double s) {
  const double s2 = s * s;
  return s * s2 * polynomial(kAtanh, s2);
}

// ln(1 + f) = 2 atanh(f / (2 + f)), for f in [-0.3, 0.42].
double log_near_one(double f) {
  const double s = f / (2 + f);
  return 2 * s + atanh_tail(s);
}

// The logarithm of a positive finite x with some 62 bits: pow multiplies its error by up to 745.
Pair log_pair(double x) {
  const Normalized n = normalize(x);
  const double f = n.mantissa - 1;  // exact
  const Pair divisor = fast_two_sum(2, f);
  const double s = f / divisor.high;
  const Pair back = two_product(s, divisor.high);
  const double s_low = (((f - back.high) - back.low) - s * divisor.low) / divisor.high;
  // 2 s^3 / 3 in double-double, the rest in double.
  const Pair square = two_product(s, s);
  const Pair cube = two_product(s, square.high);
  constexpr double kTwoThirds = 2.0 / 3;
  constexpr double kTwoThirdsLow = 0x1.5555555555555p-55;  // what 2.0 / 3 lacks
  const Pair third = two_product(cube.high, kTwoThirds);
  const double third_low = third.low + cube.high * kTwoThirdsLow +
                           kTwoThirds * (cube.low + s * square.low + 3 * square.high * s_low);
  double rest = kAtanh[9];
  for (int i = 8; i >= 1; --i) rest = rest * square.high + kAtanh[i];
  rest *= square.high * cube.high;

  const Pair a = two_sum(n.exponent * kLn2High, 2 * s);
  const Pair b = two_sum(a.high, third.high);
  const Pair c = two_sum(b.high, rest);
  const double low = ((a.low + b.low) + c.low) + ((third_low + 2 * s_low) + n.exponent * kLn2Low);
  return fast_two_sum(c.high, low);
}

// pi/2 in four parts, the first three of 23 bits: their products with an integer of 30 bits are
// exact.
constexpr double kHalfPi[] = {0x1.921fb4p+0, 0x1.4442dp-24, 0x1.846988p-48, 0x1.8cc51701b839ap-72};
constexpr double kLargestAngle = 0x1p30;

struct Angle {
  double r;      // in [-pi/4, pi/4]
  double r_low;  // and what it lacks
  int quadrant;  // the angle is quadrant * pi/2 + r
};

Angle reduce_angle(double x) {
  const Rounded n = round_to_integer(x * 0x1.45f306dc9c883p-1);
  const double a = x - n.value * kHalfPi[0];  // exact
  const Pair b = two_sum(a, -n.value * kHalfPi[1]);
  const Pair c = two_sum(b.high, -n.value * kHalfPi[2]);
  const double low = (b.low + c.low) - n.value * kHalfPi[3];
  const Pair r = fast_two_sum(c.high, low);
  return {r.high, r.low, static_cast<int>(n.integer & 3)};
}

double sin_reduced(double r, double r_low) {
  constexpr double kSeries[] = {
      -1.0 / 6,        1.0 / 120,        -1.0 / 5040,          1.0 / 362880,
      -1.0 / 39916800, 1.0 / 6227020800, -1.0 / 1307674368000, 1.0 / 355687428096000};
  const double r2 = r * r;
  return r + (r * r2 * polynomial(kSeries, r2) + r_low * (1 - 0.5 * r2));
}

double cos_reduced(double r, double r_low) {
  constexpr double kSeries[] = {
      1.0 / 24,        -1.0 / 720,         1.0 / 40320,         -1.0 / 3628800,
      1.0 / 479001600, -1.0 / 87178291200, 1.0 / 20922789888000};
  const double r2 = r * r;
  const double half = 0.5 * r2;
  const double w = 1 - half;
  return w + (((1 - w) - half) + (r2 * r2 * polynomial(kSeries, r2) - r * r_low));
}

// erf around the points i/8 as polynomials of degree 10, |h| <= 1/16: f64 coefficients from the
// series at compile time. The k-th derivative's factor (k >= 1) obeys the recurrence of Hermite
// polynomials.
constexpr int kErfSteps = 32;  // up to 4, beyond which f32 knows only 1
constexpr int kErfDegree = 10;
using ErfPolynomial = std::array<double, kErfDegree + 1>;

constexpr double exp_series(double x) {  // 0 <= x <= 16
  double sum = 1;
  double term = 1;
  for (int n = 1; n < 100; ++n) {
    term *= x / n;
    sum += term;
  }
  return sum;
}

constexpr double kTwoOverSqrtPi = 0x1.20dd750429b6dp+0;

constexpr std::array<ErfPolynomial, kErfSteps + 1> make_erf_table() {
  std::array<ErfPolynomial, kErfSteps + 1> table{};
  for (int i = 0; i <= kErfSteps; ++i) {
    const double x = i / 8.0;
    const double slope = kTwoOverSqrtPi / exp_series(x * x);
    // erf(x) = slope (x + 2 x^3 / 3 + 4 x^5 / 15 + ...): every term is positive.
    double term = x;
    double sum = x;
    for (int n = 1; n < 120; ++n) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    ErfPolynomial& c = table[i];
    c[0] = slope * sum;
    double derivative = slope;  // the k-th
    double previous = 0;
    double factorial = 1;
    for (int k = 1; k <= kErfDegree; ++k) {
      factorial *= k;
      c[k] = derivative / factorial;
      const double next = -2 * (x * derivative + (k - 1) * previous);
      previous = derivative;
      derivative = next;
    }
  }
  return table;
}

constexpr auto kErfTable = make_erf_table();

// atan(i/16), by Euler's series, every term of which is positive.
constexpr int kAtanSteps = 16;

constexpr std::array<double, kAtanSteps + 1> make_atan_table() {
  std::array<double, kAtanSteps + 1> table{};
  for (int i = 0; i <= kAtanSteps; ++i) {
    const double x = i / 16.0;
    const double y = x * x / (1 + x * x);
    double term = x / (1 + x * x);
    double sum = term;
    for (int n = 1; n < 80; ++n) {
      term *= y * (2 * n) / (2 * n + 1);
      sum += term;
    }
    table[i] = sum;
  }
  return table;
}

constexpr auto kAtanTable = make_atan_table();

float to_float(double x) { return static_cast<float>(is_nan(x) ? kNan : x); }

bool is_integer(double y) {
  const double size = magnitude(y);
  if (size >= 0x1p52) return true;  // infinity too
  return (size + 0x1p52) - 0x1p52 == size;
}

bool is_odd(double y) {
  const double size = magnitude(y);
  if (size >= 0x1p53 || !is_integer(y)) return false;
  return (static_cast<std::uint64_t>(size) & 1) != 0;
}

}  // namespace

double exp(double x) { return exp_pair(x, 0); }

double log(double x) {
  if (!(x > 0)) return x == 0 ? -kInfinity : kNan;
  if (x == kInfinity) return x;
  const Normalized n = normalize(x);
  const double s = (n.mantissa - 1) / (n.mantissa + 1);
  return n.exponent * kLn2High + (2 * s + (atanh_tail(s) + n.exponent * kLn2Low));
}

double pow(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (is_nan(x) || is_nan(y)) return kNan;
  const double size = magnitude(x);
  if (magnitude(y) == kInfinity) {
    if (size == 1) return 1;
    return (size > 1) == (y > 0) ? kInfinity : 0;
  }
  const bool negative_base = std::bit_cast<std::int64_t>(x) < 0;
  const double sign = negative_base && is_odd(y) ? -1 : 1;
  if (size == 0) return y > 0 ? sign * 0 : sign * kInfinity;
  if (size == kInfinity) return y > 0 ? sign * kInfinity : sign * 0;
  if (negative_base && !is_integer(y)) return kNan;

  const Pair l = log_pair(size);
  const double estimate = y * l.high;
  if (estimate > 800) return sign * kInfinity;
  if (estimate < -800) return sign * 0;
  // Splitting overflows beyond 2^996; there l is so small that no split is needed: x is 1 within an
  // ulp and the product's error is far below what the sum can show.
  const Pair product = magnitude(y) < 0x1p900 ? two_product(y, l.high) : Pair{estimate, 0};
  return sign * exp_pair(product.high, product.low + y * l.low);
}

double sin(double x) {
  if (!(magnitude(x) <= kLargestAngle)) return kNan;
  if (magnitude(x) < 0x1p-27) return x;
  const Angle a = reduce_angle(x);
  const double value =
      (a.quadrant & 1) != 0 ? cos_reduced(a.r, a.r_low) : sin_reduced(a.r, a.r_low);
  return (a.quadrant & 2) != 0 ? -value : value;
}

double cos(double x) {
  if (!(magnitude(x) <= kLargestAngle)) return kNan;
  const Angle a = reduce_angle(x);
  const double value =
      (a.quadrant & 1) != 0 ? sin_reduced(a.r, a.r_low) : cos_reduced(a.r, a.r_low);
  return ((a.quadrant + 1) & 2) != 0 ? -value : value;
}

float exp(float x) { return to_float(exp_for_float(x)); }

float expm1(float x) { return x == 0 ? x : to_float(expm1_for_float(x)); }

float log(float x) { return to_float(log(static_cast<double>(x))); }

float log1p(float x) {
  if (x == 0) return x;  // keeps the sign of zero
  const double wide = x;
  if (wide > -0.25 && wide < 0.4) return to_float(log_near_one(wide));
  return to_float(log(1 + wide));
}

float pow(float x, float y) {
  return to_float(pow(static_cast<double>(x), static_cast<double>(y)));
}

float sin(float x) { return to_float(sin(static_cast<double>(x))); }

float cos(float x) { return to_float(cos(static_cast<double>(x))); }

float tanh(float x) {
  if (x == 0) return x;
  const double size = magnitude(x);
  if (size > 10) return x < 0 ? -1.0f : 1.0f;  // f32 knows no larger value below 1
  const double e = expm1_for_float(2 * size);
  const double value = e / (e + 2);
  return to_float(x < 0 ? -value : value);
}

float erf(float x) {
  if (x == 0) return x;
  const double size = magnitude(x);
  if (is_nan(size)) return to_float(kNan);
  if (size >= 4) return x < 0 ? -1.0f : 1.0f;
  const Rounded step = round_to_integer(size * 8);
  const double h = size - step.value * 0.125;
  const ErfPolynomial& c = kErfTable[static_cast<std::size_t>(step.integer)];
  double value = c[kErfDegree];
  for (int i = kErfDegree - 1; i >= 0; --i) value = value * h + c[i];
  return to_float(x < 0 ? -value : value);
}

float sigmoid(float x) { return to_float(1 / (1 + exp_for_float(-static_cast<double>(x)))); }

float atan(float x) {
  if (x == 0) return x;
  const double size = magnitude(x);
  if (is_nan(size)) return to_float(kNan);
  const bool outside = size > 1;
  const double inner = outside ? 1 / size : size;
  const Rounded step = round_to_integer(inner * kAtanSteps);
  const double centre = step.value / kAtanSteps;
  const double t = (inner - centre) / (1 + inner * centre);  // |t| <= 1/32
  constexpr double kSeries[] = {-1.0 / 3, 1.0 / 5, -1.0 / 7, 1.0 / 9};
  const double t2 = t * t;
  const double value =
      kAtanTable[static_cast<std::size_t>(step.integer)] + (t + t * t2 * polynomial(kSeries, t2));
  const double folded = outside ? kPi / 2 - value : value;
  return to_float(x < 0 ? -folded : folded);
}

}  // namespace thimble::math
