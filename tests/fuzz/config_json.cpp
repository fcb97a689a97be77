// DEPENDS: thimble_formats
// A config.json with weights of any shape that it asks for: the builders end with a graph or one error.

#include <string>

#include "formats/huggingface/reader.h"
#include "lower/lower.h"
#include "text/json.h"

namespace {

// Has whatever is asked for, as long as the graph stays small.
class AnyWeights : public thimble::formats::WeightProvider {
 public:
  std::optional<thimble::ir::Weight> find(const std::string& name) const override {
    if (++asked_ > 200) return std::nullopt;
    const float one[] = {1.0f};
    return thimble::ir::make_dense(name, {1}, one);
  }
  std::vector<std::string> names() const override { return {}; }

 private:
  mutable int asked_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace thimble;
  auto json = text::parse_json({reinterpret_cast<const char*>(data), size}, "config.json");
  if (!json || !json->is_object()) return 0;
  const std::string architecture = json->contains("architectures") && (*json)["architectures"].is_string() ? (*json)["architectures"].get<std::string>() : "";
  ir::Model model;
  const formats::Config config(std::move(*json), "config.json");
  static_cast<void>(formats::build_architecture(architecture, config, AnyWeights(), {}, ir::Pooling::kMean, model).has_value());
  return 0;
}
