// fix-inputs: inputs that are the same in every call become constants: a sample rate, a flag for
// training, a threshold. What asks about them is then settled: fold-branches and fold-constants
// take it from there.

#include "passes/simplify/fix_inputs.h"

#include <algorithm>

#include "calibrate/calibration.h"
#include "data/fill.h"
#include "passes/simplify/rewrite.h"

namespace thimble::passes {
namespace {

// Inputs as data sets describe them; -1 for sizes that the model leaves open.
std::vector<data::InputSpec> specs_of(const ir::Graph& graph) {
  std::vector<data::InputSpec> specs;
  for (const ir::ValueId id : graph.inputs()) {
    const ir::Value& value = graph.value(id);
    data::InputSpec spec{value.name, calibrate::descr_of(value.dtype), {}};
    for (const ir::Dim& dim : value.shape.value_or(ir::Shape{}))
      spec.dims.push_back(dim.constant().value_or(-1));
    specs.push_back(std::move(spec));
  }
  return specs;
}

class FixInputs : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    values_ = options.text("values");
    return values_.empty() ? Status(Error(ErrorCode::kInvalidRecipe, "fix-inputs has no 'values'")
                                        .fix("say which, as in {values: \"sr=16000\"}"))
                           : ok();
  }

  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    THIMBLE_ASSIGN(std::vector<data::Array> arrays,
                   data::filled_inputs(values_, specs_of(model.graph)));
    for (data::Array& array : arrays) THIMBLE_TRY(fix(model, std::move(array)));
    report.current().changes = static_cast<std::int64_t>(arrays.size());
    return ir::infer_shapes(model);
  }

 private:
  static Status fix(ir::Model& model, data::Array array) {
    ir::Graph& graph = model.graph;
    const ir::ValueId input = *graph.find_value(array.name);
    const std::optional<ir::Shape>& shape = graph.value(input).shape;
    const bool open = !shape || std::any_of(shape->begin(), shape->end(),
                                            [](const ir::Dim& dim) { return !dim.is_constant(); });
    if (open) {
      return invalid_argument("an input of open size cannot be fixed")
          .at_tensor(array.name)
          .fix("bind its size first, as with --dim batch=1");
    }
    for (const ir::State& state : model.states) {
      if (state.input == array.name)
        return invalid_argument("a state cannot be fixed").at_tensor(array.name);
    }
    const ir::DType type = graph.value(input).dtype;
    graph.rename(input, array.name + ".input");
    const ir::ValueId constant = add_constant(
        model, graph, ir::make_dense(array.name, type, array.dims, std::move(array.bytes)));
    ir::replace_uses(model, graph, input, constant);
    graph.erase_input(input);
    return ok();
  }

  std::string values_;
};

}  // namespace

pass::Registration fix_inputs() {
  return {{.name = "fix-inputs",
           .summary = "Make constants of inputs that are the same in every call",
           .kind = pass::Kind::kRewrite,
           .options = {{.name = "values",
                        .type = pass::OptionType::kText,
                        .fallback = "",
                        .help = "inputs and the number that each is filled with, as in "
                                "\"sr=16000,training=0\""}}},
          [] { return std::unique_ptr<pass::Pass>(new FixInputs); }};
}

}  // namespace thimble::passes
