// convert-floats: writes the weights of products and embeddings in a narrower float type. Norms,
// biases and tables stay in f32: they are small, and their rounding costs more than it saves.

#include <cmath>

#include "ir/decode.h"
#include "ir/match.h"
#include "passes/quantize/findings.h"
#include "passes/registrations.h"
#include "quant/decode.h"
#include "support/text.h"

namespace thimble::passes {
namespace {

constexpr float kBeyondHalf = 65520;  // what is less rounds to a number

// Rows of another source, rounded on each use.
class ConvertedSource : public ir::WeightSource {
 public:
  ConvertedSource(ir::Weight from, ir::DType to) : from_(std::move(from)), to_(to) {}

  Expected<ir::Rows> read(std::int64_t begin, std::int64_t end) const override {
    THIMBLE_ASSIGN(const std::vector<float> values, quant::decode_rows(from_, begin, end));
    for (const float value : values) {
      if (to_ != ir::DType::kF16 || std::fabs(value) < kBeyondHalf || !std::isfinite(value))
        continue;
      return unsupported("holds " + format_significant(value) + ", which f16 cannot")
          .at_tensor(from_.name)
          .fix("convert-floats: {type: bf16}");
    }
    return ir::dense_rows(end - begin, ir::encode_floats(to_, values));
  }
  void release(std::int64_t begin, std::int64_t end) const override {
    from_.source->release(begin, end);
  }
  std::string describe() const override {
    return from_.source->describe() + " as " + std::string(ir::dtype_name(to_));
  }

 private:
  ir::Weight from_;
  ir::DType to_;
};

class ConvertFloats : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    type_ = *ir::dtype_from_name(options.text("type"));
    return ok();
  }

  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    for (const ir::WeightUse& use : ir::quantizable_weights_everywhere(model)) {
      ir::Weight& weight = model.weight(use.weight);
      if (!weight.encoding.is_dense() || weight.dtype == type_) continue;
      weight.source = std::make_shared<ConvertedSource>(weight, type_);
      weight.dtype = type_;
      report.current().decisions.push_back(decision_on(weight, "default"));
      report.current().changes += 1;
    }
    return ok();
  }

 private:
  ir::DType type_ = ir::DType::kF16;
};

}  // namespace

pass::Registration convert_floats() {
  return {{.name = "convert-floats",
           .summary = "Write the weights of products and embeddings in another float type",
           .kind = pass::Kind::kLossy,
           .options = {{.name = "type",
                        .type = pass::OptionType::kWord,
                        .fallback = "f16",
                        .help = "float type",
                        .words = {"f16", "bf16", "f32"}}}},
          [] { return std::unique_ptr<pass::Pass>(new ConvertFloats); }};
}

}  // namespace thimble::passes
