#pragma once
// config.json, read with types: every field that an architecture takes is asked for by name, and
// what nobody asked for is either known not to change results or an error.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "formats/huggingface/builder.h"
#include "text/json.h"

namespace thimble::formats {

// The widest layer or vocabulary that a config.json may ask for, and the most layers.
constexpr std::int64_t kMostWidth = 1 << 22;
constexpr std::int64_t kMostLayers = 4096;

class Config {
 public:
  Config(text::Json json, std::string file) : json_(std::move(json)), file_(std::move(file)) {}

  bool has(const std::string& key) const;  // present and not null; counts as asked for
  Expected<std::int64_t> integer(const std::string& key, std::int64_t least,
                                 std::int64_t most) const;
  Expected<std::int64_t> integer_or(const std::string& key, std::int64_t fallback,
                                    std::int64_t least, std::int64_t most) const;
  Expected<double> real_or(const std::string& key, double fallback) const;
  Expected<bool> boolean_or(const std::string& key, bool fallback) const;
  Expected<std::string> text_or(const std::string& key, const std::string& fallback) const;
  Expected<std::vector<double>> reals(const std::string& key) const;
  Expected<std::vector<std::string>> texts(const std::string& key) const;  // empty when absent
  // A nested map such as rope_scaling; empty when absent or null.
  Expected<Config> map(const std::string& key) const;
  bool empty() const { return json_.is_null() || json_.empty(); }
  const std::string& file() const { return file_; }
  const text::Json& json() const { return json_; }

  // The first key that was never asked for and might change results, as an error.
  Status check_all_used(const std::string& architecture) const;
  Error wrong(const std::string& key, const std::string& why) const;

 private:
  text::Json json_;
  std::string file_;
  std::string prefix_;
  mutable std::set<std::string> used_;
};

// Rotary positions as the configuration says: rope_theta and rope_scaling, or rope_parameters.
// `parameters` is already the map for this kind of layer.
struct RotaryRequest {
  double theta = 10000;
  double partial = 1;  // share of a head that rotates
  std::int64_t head_dim = 0;
  std::int64_t max_context = 0;
  std::int64_t original_context = 0;  // of the top level (Phi-3); 0: none
};
Expected<Rotary> read_rotary(const Config& parameters, const RotaryRequest& request);

// Frequencies before any stretching, one per pair of `dim`.
std::vector<double> plain_frequencies(double theta, std::int64_t dim);
// What yarn multiplies sines and cosines by.
double yarn_attention(double factor, double multiplier = 1);

}  // namespace thimble::formats
