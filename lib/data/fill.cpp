#include "data/fill.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace thimble::data {
namespace {

template <class T>
bool put(double number, std::vector<std::byte>& bytes) {
  if constexpr (!std::is_floating_point_v<T>) {
    // 2^63 as a double is one more than the largest whole number.
    const bool holds = number == std::floor(number) &&
                       number >= static_cast<double>(std::numeric_limits<T>::min()) &&
                       number < static_cast<double>(std::numeric_limits<T>::max()) + 1;
    if (!holds) return false;
  }
  const T value = static_cast<T>(number);
  for (std::size_t at = 0; at + sizeof value <= bytes.size(); at += sizeof value)
    std::memcpy(bytes.data() + at, &value, sizeof value);
  return true;
}

bool fill_with(double number, const std::string& descr, std::vector<std::byte>& bytes) {
  if (descr == "<f4") return put<float>(number, bytes);
  if (descr == "<f8") return put<double>(number, bytes);
  if (descr == "<i8") return put<std::int64_t>(number, bytes);
  if (descr == "<i4") return put<std::int32_t>(number, bytes);
  if (descr == "|i1") return put<std::int8_t>(number, bytes);
  if (descr == "|u1") return put<std::uint8_t>(number, bytes);
  return descr == "|b1" && (number == 0 || number == 1) && put<std::uint8_t>(number, bytes);
}

Expected<Array> filled(const std::string& entry, const std::vector<InputSpec>& inputs) {
  const std::size_t equals = entry.find('=');
  double number = 0;
  const char* const end = entry.data() + entry.size();
  if (equals == std::string::npos) return invalid_argument("'" + entry + "' is not NAME=NUMBER");
  const auto [stop, code] = std::from_chars(entry.data() + equals + 1, end, number);
  if (code != std::errc() || stop != end || !std::isfinite(number))
    return invalid_argument("'" + entry + "' is not NAME=NUMBER");
  const std::string name = entry.substr(0, equals);
  const auto input = std::find_if(inputs.begin(), inputs.end(),
                                  [&](const InputSpec& spec) { return spec.name == name; });
  if (input == inputs.end()) {
    std::vector<std::string> names;
    for (const InputSpec& spec : inputs) names.push_back(spec.name);
    return invalid_argument("the model has no input '" + name + "' to fill" +
                            did_you_mean(name, names));
  }
  Array array{name, input->descr, input->dims, {}};
  for (std::int64_t& dim : array.dims) dim = dim < 0 ? 1 : dim;
  array.bytes.resize(static_cast<std::size_t>(array.count() * descr_bytes(array.descr)));
  if (!fill_with(number, array.descr, array.bytes))
    return invalid_argument("an input of " + array.descr + " cannot hold " +
                            entry.substr(equals + 1))
        .at_tensor(name);
  return array;
}

}  // namespace

Expected<std::vector<Array>> filled_inputs(const std::string& fill,
                                           const std::vector<InputSpec>& inputs) {
  std::vector<Array> arrays;
  for (std::size_t begin = 0; begin < fill.size();) {
    const std::size_t end = std::min(fill.find(',', begin), fill.size());
    THIMBLE_ASSIGN(Array array, filled(fill.substr(begin, end - begin), inputs));
    if (find(arrays, array.name) != nullptr)
      return invalid_argument("'" + array.name + "' is filled twice");
    arrays.push_back(std::move(array));
    begin = end + 1;
  }
  return arrays;
}

}  // namespace thimble::data
