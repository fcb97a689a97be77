// fix-inputs: inputs that are the same in every call become constants: a sample rate, a flag for
// training, a threshold. What asks about them is then settled: fold-branches and fold-constants
// take it from there.

#include <algorithm>

#include "calibrate/calibration.h"
#include "data/fill.h"
#include "passes/registrations.h"

namespace thimble::passes {
namespace {

class FixInputs : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    values_ = options.text("values");
    return values_.empty() ? Status(Error(ErrorCode::kInvalidRecipe, "fix-inputs has no 'values'")
                                        .fix("say which, as in {values: \"sr=16000\"}"))
                           : ok();
  }

  Status run(ir::Model& model, pass::Context&, pass::Report& report) override {
    std::vector<data::InputSpec> specs;
    for (const ir::ValueId input : model.graph.inputs())
      specs.push_back(calibrate::input_spec(model.graph.value(input)));
    THIMBLE_ASSIGN(std::vector<data::Array> arrays, data::filled_inputs(values_, specs));
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
    if (calibrate::is_state(model, array.name))
      return invalid_argument("a state cannot be fixed").at_tensor(array.name);
    const ir::DType type = graph.value(input).dtype;
    graph.rename(input, array.name + ".input");
    const ir::ValueId constant = ir::add_constant(
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
