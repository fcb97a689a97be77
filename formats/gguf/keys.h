#pragma once
// The keys and values of a GGUF file being written.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf/architectures.h"
#include "ir/model.h"

namespace thimble::formats::gguf {

class Keys {
 public:
  void integer(std::string_view key, std::uint32_t value);
  void real(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void text(std::string_view key, std::string_view value);
  void texts(std::string_view key, const std::vector<std::string>& values);
  void integers(std::string_view key, std::span<const std::int32_t> values);
  void reals(std::string_view key, std::span<const float> values);

  std::uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void begin(std::string_view key, std::uint32_t type);
  void begin_list(std::string_view key, std::uint32_t type, std::size_t count);

  std::uint64_t count_ = 0;
  std::string bytes_;
};

// A string as the file has it: length and bytes.
void append_text(std::string& out, std::string_view text);
template <class T>
void append_number(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// What the network is, from the model's metadata, and the tensors of factors that its rotary
// frequencies are divided by. Something that llama.cpp would compute differently is an error.
struct Network {
  std::int64_t heads = 0, kv_heads = 0, vocabulary = 0;
  std::vector<ir::Weight> rotary_factors;
  float query_factor = 1;  // the weights that `query_scales` ends the names of are multiplied by it
  std::string query_scales;  // one in each layer
  std::string note;          // what a user should know of llama.cpp's reading; empty: nothing
};
Expected<Network> add_network(const ir::Model& model, const Architecture& architecture,
                              Keys& keys);  // network.cpp

// Vocabulary and chat template. The vocabulary is filled up to the rows of the embedding.
Status add_tokenizer(const ir::Model& model, std::int64_t vocabulary, Keys& keys);

}  // namespace thimble::formats::gguf
