// simplify: every lossless pass, in an order that lets each profit from those before it. What a
// recipe for a model from outside begins with.

#include <algorithm>

#include "passes/registrations.h"

namespace thimble::passes {
namespace {

// What the later ones find may give the earlier ones work again, so they take turns.
constexpr int kMostRounds = 4;

std::vector<pass::Registration> cleaning() {
  return {constant_folding(),  fold_branches(),   fold_shapes(),       fold_indices(),
          remove_identities(), cancel_movement(), share_expressions(), dead_code()};
}

std::vector<pass::Registration> fusing() {
  return {fold_pads(),        crop_kernels(), fold_scales(),   fuse_norms(),
          fuse_activations(), fuse_rope(),    fuse_attention()};
}

class Simplify : public pass::Pass {
 public:
  Status configure(const pass::Options&) override { return ok(); }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    std::int64_t changes = 0;
    for (int round = 0; round < kMostRounds; ++round) {
      const std::int64_t before = changes;
      THIMBLE_TRY(run_all(cleaning(), model, context, report, changes));
      THIMBLE_TRY(run_all(fusing(), model, context, report, changes));
      if (changes == before) break;
    }
    THIMBLE_TRY(run_all({share_weights(), share_expressions(), dead_code()}, model, context, report,
                        changes));
    report.current().changes = changes;
    return ok();
  }

 private:
  // Each part's decisions and findings go into the report of the whole, with the part's name.
  static Status run_all(const std::vector<pass::Registration>& parts, ir::Model& model,
                        pass::Context& context, pass::Report& report, std::int64_t& changes) {
    for (const pass::Registration& part : parts) {
      THIMBLE_ASSIGN(pass::Options options, pass::Options::check(part.info.options, {}));
      const pass::Step step{&part, std::move(options)};
      pass::Report own;
      THIMBLE_TRY(pass::run_passes(model, {&step, 1}, context, {}, own));
      pass::PassReport& found = own.passes.front();
      changes += found.changes;
      for (pass::TensorDecision& decision : found.decisions) {
        decision.why = part.info.name + ": " + decision.why;
        std::vector<pass::TensorDecision>& all = report.current().decisions;
        const bool known = std::any_of(all.begin(), all.end(), [&](const auto& other) {
          return other.tensor == decision.tensor && other.why == decision.why;
        });  // a part says the same in every round
        if (!known) all.push_back(std::move(decision));
      }
      for (pass::Finding& finding : found.findings) {
        finding.text = part.info.name + ": " + finding.text;
        report.current().findings.push_back(std::move(finding));
      }
    }
    return ok();
  }
};

}  // namespace

pass::Registration simplify() {
  return {{.name = "simplify",
           .summary = "All the lossless passes on graphs, until none finds more to do",
           .kind = pass::Kind::kRewrite,
           .options = {}},
          [] { return std::unique_ptr<pass::Pass>(new Simplify); }};
}

}  // namespace thimble::passes
