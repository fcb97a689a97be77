#pragma once
// Numbers and lists as people read them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace thimble {

std::string format_bytes(std::uint64_t bytes);         // decimal units: "999 B", "1.2 MB", "12 MB"
std::string format_count(std::uint64_t count);         // "999", "1.2k", "260k", "7.2B"
std::string format_duration(double seconds);           // "0.8s", "42s", "3m 07s", "2h 05m"
std::string format_fixed(double value, int decimals);  // "3.14"; "nan", "inf" and "-inf" otherwise
std::string format_significant(double value, int digits = 3);    // "0.0123", "1.23e-05"
std::string format_dims(const std::vector<std::int64_t>& dims);  // "[2, 3]"

std::string join(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace thimble
