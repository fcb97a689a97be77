#include "tools/thimble/tensors.h"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "data/npz.h"
#include "eval/arrays.h"
#include "eval/carry.h"
#include "report/json.h"
#include "runtime/session.h"
#include "support/system.h"
#include "tools/thimble/preconditions.h"
#include "tools/thimble/samples.h"

namespace thimble::cli {
namespace {

Status check_ranges(const program::Program& program, const ir::DimRanges& ranges,
                    const std::vector<runtime::TensorView>& views) {
  std::size_t next = 0;
  for (const program::Slot* input : eval::input_slots(program)) {
    const program::Slot& slot = *input;
    const std::vector<std::int64_t>& dims = views[next++].dims;
    for (std::size_t d = 0; d < std::min(dims.size(), slot.dims.size()); ++d) {
      const auto symbol = eval::symbol_of(program, slot.dims[d]);
      const auto range = symbol ? ranges.find(*symbol) : ranges.end();
      if (range == ranges.end() || (dims[d] >= range->second.low && dims[d] <= range->second.high))
        continue;
      return invalid_argument("the size '" + *symbol + "' of input '" + slot.name + "' is " +
                              std::to_string(dims[d]) + ", outside of " + ir::to_string({*range}));
    }
  }
  return ok();
}

// What the outputs were over the calls.
class Results {
 public:
  // Of one call.
  explicit Results(const program::Program& program) : names_(eval::output_names(program)) {}
  // Of several: along a new first axis, but for `carried` outputs, which keep the last call's
  // alone.
  Results(const program::Program& program, const std::vector<eval::CarriedState>& carried)
      : names_(eval::output_names(program)), carried_(&carried) {}

  Status add(const runtime::Session& session) {
    const std::vector<runtime::TensorView>& views = session.outputs();
    arrays_.resize(views.size());
    for (std::size_t i = 0; i < views.size(); ++i) {
      if (views[i].data == nullptr) continue;  // a cache, kept in place
      data::Array array = eval::array_of(names_[i], views[i]);
      if (carried_ == nullptr || is_carried(names_[i])) {
        arrays_[i] = std::move(array);
      } else {
        THIMBLE_TRY(stack(std::move(array), arrays_[i]));
      }
    }
    ++calls_;
    return ok();
  }

  std::vector<data::Array> take() {
    std::erase_if(arrays_, [](const data::Array& array) { return array.name.empty(); });
    return std::move(arrays_);
  }

 private:
  bool is_carried(const std::string& name) const {
    return std::any_of(carried_->begin(), carried_->end(),
                       [&](const eval::CarriedState& state) { return state.output == name; });
  }

  Status stack(data::Array array, data::Array& onto) const {
    array.dims.insert(array.dims.begin(), 1);
    if (calls_ == 0) {
      onto = std::move(array);
      return ok();
    }
    if (!std::equal(array.dims.begin() + 1, array.dims.end(), onto.dims.begin() + 1,
                    onto.dims.end())) {
      return unsupported(
                 "an output changes its size from call to call, so the calls cannot be "
                 "stacked")
          .at_tensor(array.name);
    }
    onto.dims[0] += 1;
    onto.bytes.insert(onto.bytes.end(), array.bytes.begin(), array.bytes.end());
    return ok();
  }

  std::vector<std::string> names_;
  const std::vector<eval::CarriedState>* carried_ = nullptr;  // null: one call
  std::vector<data::Array> arrays_;
  std::int64_t calls_ = 0;
};

Expected<std::vector<runtime::TensorView>> bind_call(const program::Program& program,
                                                     const ir::DimRanges& ranges,
                                                     std::vector<data::Array>& arrays) {
  THIMBLE_ASSIGN(auto views, eval::bind_inputs(program, arrays));
  THIMBLE_TRY(check_ranges(program, ranges, views));
  return views;
}

Expected<std::vector<data::Array>> run_once(const Opened& opened, const std::string& inputs,
                                            Environment& environment) {
  THIMBLE_ASSIGN(std::vector<data::Array> arrays, data::read_npz(inputs));
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(opened.bundle, environment.pool));
  auto views = bind_call(opened.bundle.program, ranges_of(opened), arrays);
  if (!views) return std::move(views).error().in(inputs);
  if (Status status = session->run(*views); !status) {
    if (system::interrupted()) return std::move(status).error();
    return std::move(status).error().in(opened.path).note("on the arrays of " + inputs);
  }
  Results results(opened.bundle.program);
  THIMBLE_TRY(results.add(*session));
  return results.take();
}

Expected<std::vector<data::Array>> run_sequence(const Opened& opened, const recipe::DataSet& set,
                                                Environment& environment) {
  const program::Program& program = opened.bundle.program;
  THIMBLE_ASSIGN(const auto states, eval::parse_states(set.states));
  THIMBLE_ASSIGN(eval::Carrier carrier, eval::Carrier::create(program, states));
  THIMBLE_ASSIGN(const auto source,
                 open_samples(set, eval::without_states(eval::input_specs(program), states)));
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(opened.bundle, environment.pool));
  Results results(program, states);
  const ir::DimRanges ranges = ranges_of(opened);
  environment.progress.begin("running", static_cast<double>(source->size()), "calls");
  for (std::size_t i = 0; i < source->size(); ++i) {
    THIMBLE_ASSIGN(std::vector<data::Array> arrays, source->read(i));
    if (source->begins(i)) carrier.reset();
    carrier.give(arrays);
    auto views = bind_call(program, ranges, arrays);
    Status status = views ? session->run(*views) : Status(std::move(views).error());
    THIMBLE_TRY(system::check_interrupt());
    if (!status) return std::move(status).error().note("in call " + std::to_string(i));
    carrier.take(*session);
    THIMBLE_TRY(results.add(*session));
    environment.progress.advance(1);
  }
  environment.progress.end();
  return results.take();
}

void print_outputs(const std::vector<data::Array>& results, Environment& environment) {
  report::Json described = report::Json::array();
  for (const data::Array& array : results) {
    const auto view = eval::view_of(array);
    THIMBLE_CHECK(view.has_value(), "what a session gives is of a type that it takes");
    described.push_back(
        {{"name", array.name}, {"type", program::type_name(view->type)}, {"dims", array.dims}});
  }
  if (environment.globals.json) {
    report::Json out = report::document("run");
    out["outputs"] = std::move(described);
    report::print(out);
    return;
  }
  for (const auto& item : described) {
    std::printf("%s: %s%s\n", item["name"].get<std::string>().c_str(),
                item["type"].get<std::string>().c_str(), item["dims"].dump().c_str());
  }
}

}  // namespace

Expected<int> run_tensors(const Opened& opened, const TensorRequest& request,
                          Environment& environment) {
  formats::Target target;
  target.format = "npz";
  if (!request.outputs.empty()) THIMBLE_TRY(check_output(request.outputs, target, request.inputs));
  const recipe::DataSet& data = request.data;
  const bool once = data.wav.empty() && data.states.empty();
  recipe::DataSet set = data;
  set.npz = request.inputs;
  if (!set.wav.empty() && !set.npz.empty())
    return Error(ErrorCode::kUsage, "--inputs and --wav exclude each other")
        .fix("numbers for other inputs go into --fill");
  auto results =
      once ? run_once(opened, request.inputs, environment) : run_sequence(opened, set, environment);
  if (!results) return std::move(results).error();
  if (!request.outputs.empty()) THIMBLE_TRY(data::write_npz(request.outputs, *results));
  print_outputs(*results, environment);
  return 0;
}

}  // namespace thimble::cli
