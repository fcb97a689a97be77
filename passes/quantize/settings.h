#pragma once
// What the passes that choose encodings share: their options, and rules over selectors.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ir/match.h"
#include "pass/pass.h"
#include "pass/selector.h"
#include "passes/quantize/codes.h"
#include "quant/quantize.h"

namespace thimble::passes {

// `bits: auto` and its kin: what the budget chooses.
struct OpenSettings {
  bool bits = false, group_size = false, symmetric = false, sub_scale_bits = false, codes = false;
  bool any() const { return bits || group_size || symmetric || sub_scale_bits || codes; }
};

struct Settings {
  std::int64_t bits = 4;         // 0 where open until Rules::settle
  std::int64_t group_size = 32;  // 0: the whole row
  bool per_tensor = false;
  bool symmetric = true;
  std::int64_t sub_scale_bits = 0;  // 0: each group has a scale of its own
  Codes codes = Codes::kUniform;
  ir::DType scale_type = ir::DType::kF16;
  quant::Search search = quant::Search::kMse;
  ir::ActivationScheme activation = ir::ActivationScheme::kInt8;
  OpenSettings open;

  // The encoding that these say for a weight whose inputs lie along `axis` of its dims. Levels that
  // are fitted to a weight are the normal ones.
  ir::Encoding encoding(const ir::Weight& weight, int axis) const;
  // What depends on the weight's numbers: `fitted_encoding` is for it.
  pass::Fit fit() const {
    if (codes == Codes::kNvfp4) return pass::Fit::kScaleExponent;
    return codes == Codes::kFitted ? pass::Fit::kLevels : pass::Fit::kNothing;
  }
  // The same with levels, or the scales' exponent, fitted to the weight, where it has numbers;
  // `importance`: what an error in each input costs, empty: all the same.
  Expected<ir::Encoding> fitted_encoding(const ir::Weight& weight, int axis,
                                         const std::vector<float>& importance = {}) const;
};

// What to do to one weight, and by which rule.
struct Choice {
  Settings settings;
  bool skip = false;
  std::string why;                       // "rule 2 (role: embedding)", "default"
  bool as_it_is = false;                 // the budget affords the weight as it is
  std::optional<ir::Encoding> allotted;  // by the budget, fitted

  // What the weight is to be written in: allotted, or fitted to it, unless only sizes are wanted.
  Expected<ir::Encoding> encoding(const ir::Weight& weight, int axis, bool dry_run,
                                  const std::vector<float>& importance = {}) const;
};

// What a pass does with the weights that it takes.
enum class Taker : std::uint8_t {
  kRounds,
  kRoundsAgain,  // also what comes quantized
  kCompensates,  // codes make up for each other's errors
};

// `only`, `rules` and the options that rules may set, read from a pass's options.
class Rules {
 public:
  Status configure(const pass::Options& options);
  // Starts over for a model: which weights there are, and how many layers.
  void begin(const std::vector<ir::WeightUse>& uses);
  // Nothing: `only` leaves the weight out.
  std::optional<Choice> choose(const ir::Model& model, const ir::WeightUse& use);
  // Does any setting say `auto`?
  bool open() const;
  // Has the allocator choose what the settings leave open. A weight that comes quantized is not
  // offered its own bits or more, but as it is, unless it is to be rounded again. What the target
  // can't hold isn't offered; where that leaves nothing, the error names the weight.
  Status settle(const ir::Model& model, const ir::WeightUse& use, Taker taker,
                pass::Context& context, Choice& choice) const;
  // A finding for each rule that chose nothing since begin().
  void find_unused(pass::PassReport& report) const;

 private:
  struct Rule {
    pass::Selector selector;
    Settings settings;
    bool skip = false;
    std::string text;
  };
  static Expected<Rule> make_rule(const pass::OptionValue& value, const Settings& base,
                                  std::size_t number);

  Settings base_;
  pass::Selector only_;
  std::vector<Rule> rules_;
  std::vector<bool> matched_;
  int layers_ = 0;
};

// The options that Rules reads, for a pass's description: "bits", ..., or "only" and "rules".
pass::OptionInfo bits_option();
pass::OptionInfo group_size_option();
pass::OptionInfo group_size_or_tensor_option();  // also one scale for all of a weight
pass::OptionInfo symmetric_option();
pass::OptionInfo scale_option();
pass::OptionInfo search_option();
pass::OptionInfo activations_option();
pass::OptionInfo only_option();
pass::OptionInfo rules_option();
// All of them, for a pass that settles, which takes `auto` for what a budget may choose; which
// group sizes it takes is `group_size`, and `own` goes before "only".
std::vector<pass::OptionInfo> settled_options(pass::OptionInfo group_size,
                                              std::vector<pass::OptionInfo> own);

// How each value that a quantized product reads is written; of several wishes the finest counts.
class ActivationWishes {
 public:
  void add(const ir::Model& model, const ir::WeightUse& use, ir::ActivationScheme scheme);
  void apply(ir::Model& model) const;

 private:
  std::map<ir::ValueId, ir::ActivationScheme> schemes_;
};

// Keeps the weight as it is in context.originals, unless one is there or it is encoded. For every
// pass that is about to encode it.
void remember_original(pass::Context& context, const ir::Model& model, ir::WeightId weight);

// Says so where the weight's shape made another encoding of what the settings ask for.
void find_other_shape(const ir::Weight& weight, const Settings& settings,
                      const ir::Encoding& encoding, const std::string& rule,
                      pass::PassReport& report);

}  // namespace thimble::passes
