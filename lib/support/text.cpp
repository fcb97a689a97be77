#include "support/text.h"

#include <cmath>
#include <cstdio>

namespace thimble {
namespace {

// Two significant digits below ten units, whole units above: 1.2, 12, 123. A value that rounds up
// to 1000 takes the next unit.
std::string scaled(std::uint64_t value, const char* separator, const char* const* units, int last) {
  if (value < 1000) return std::to_string(value) + separator + units[0];
  double number = static_cast<double>(value);
  int unit = 0;
  while (number >= 999.5 && unit < last) {
    number /= 1000;
    ++unit;
  }
  return format_fixed(number, number < 9.95 ? 1 : 0) + separator + units[unit];
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  static const char* const kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  return scaled(bytes, " ", kUnits, 6);
}

std::string format_count(std::uint64_t count) {
  static const char* const kUnits[] = {"", "k", "M", "B", "T"};
  return scaled(count, "", kUnits, 4);
}

std::string format_duration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "?";
  if (seconds < 9.95) return format_fixed(seconds, 1) + "s";
  const auto whole = static_cast<std::uint64_t>(seconds + 0.5);
  const auto pair = [](std::uint64_t a, const char* unit_a, std::uint64_t b, const char* unit_b) {
    return std::to_string(a) + unit_a + (b < 10 ? " 0" : " ") + std::to_string(b) + unit_b;
  };
  if (whole < 60) return std::to_string(whole) + "s";
  if (whole < 3600) return pair(whole / 60, "m", whole % 60, "s");
  return pair(whole / 3600, "h", whole % 3600 / 60, "m");
}

std::string format_fixed(double value, int decimals) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[400];
  std::snprintf(buffer, sizeof buffer, "%.*f",
                decimals < 0    ? 0
                : decimals > 40 ? 40
                                : decimals,
                value);
  return buffer;
}

std::string format_significant(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*g", digits, value);
  return buffer;
}

std::string format_dims(const std::vector<std::int64_t>& dims) {
  std::string out = "[";
  for (const std::int64_t dim : dims) out += (out.size() > 1 ? ", " : "") + std::to_string(dim);
  return out + "]";
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += separator;
    out += parts[i];
  }
  return out;
}

}  // namespace thimble
