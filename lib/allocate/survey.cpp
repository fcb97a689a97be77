#include <set>

#include "allocate/allocate.h"
#include "allocate/errors.h"
#include "ir/match.h"
#include "support/text.h"

namespace thimble::allocate {
namespace {

// Writes down what it is asked and answers with the first encoding offered.
class Collector : public pass::Allocator {
 public:
  Expected<pass::Allotment> choose(const ir::Model& model, const pass::OpenWeight& wish) override {
    const std::string& name = model.weight(wish.weight).name;
    if (!names_.insert(name).second) {
      return Error(ErrorCode::kInvalidRecipe, "two passes leave this weight to the budget")
          .at_tensor(name)
          .fix("restrict one of them with `only`");
    }
    weights.push_back({name, wish, -1, {}});
    stored.push_back(model.weight(wish.weight));
    return pass::Allotment{0, wish.offers.front().encoding, ""};
  }
  std::vector<Survey::Open> weights;
  std::vector<ir::Weight> stored;  // as the pass found them

 private:
  std::set<std::string> names_;
};

Expected<ir::Model> dry_run(const Request& request, pass::Allocator& allocator) {
  ir::Model model = request.model;
  pass::Report report = request.report;
  pass::Context context = request.context;
  context.dry_run = true;
  context.strict = false;
  context.allocator = &allocator;
  THIMBLE_TRY(pass::run_passes(model, request.steps, context, {}, report));
  return model;
}

// A file's segments lie at multiples of this; bits per weight counts their bytes alone.
std::uint64_t alignment_of(const pass::Budget& budget) {
  return budget.kind == pass::BudgetKind::kBitsPerWeight ? 1 : 64;
}

Expected<std::uint64_t> bytes_of(const Request& request, ir::Weight weight,
                                 const ir::Encoding& encoding) {
  if (!request.weight_bytes) return stored_bytes(weight, encoding, alignment_of(request.budget));
  if (!encoding.is_dense()) weight.encoding = encoding;
  return request.weight_bytes(weight);
}

}  // namespace

Expected<Survey> survey(const Request& request) {
  Collector collector;
  Survey out;
  THIMBLE_ASSIGN(const ir::Model first, dry_run(request, collector));
  if (collector.weights.empty()) {
    return Error(ErrorCode::kInvalidRecipe,
                 "the passes leave no weight of this model to the budget")
        .fix("give `bits: auto` to a pass that reaches its products or embedding");
  }
  out.weights = std::move(collector.weights);
  std::map<std::uint32_t, const ir::WeightUse*> uses;
  const std::vector<ir::WeightUse> all = ir::quantizable_weights(request.model);
  for (const ir::WeightUse& use : all) uses[use.weight.index] = &use;
  THIMBLE_ASSIGN(const std::uint64_t total, request.bytes(first));
  std::uint64_t open = 0;
  for (std::size_t w = 0; w < out.weights.size(); ++w) {
    Survey::Open& weight = out.weights[w];
    if (const auto use = uses.find(weight.wish.weight.index); use != uses.end()) {
      weight.layer = use->second->layer;
      weight.role = use->second->role;
    }
    Item item;
    for (const pass::Offer& offer : weight.wish.offers) {
      THIMBLE_ASSIGN(const std::uint64_t bytes,
                     bytes_of(request, collector.stored[w], offer.encoding));
      item.push_back({bytes, 0});
    }
    open += item.front().bytes;
    out.items.push_back(std::move(item));
  }
  out.fixed = total > open ? total - open : 0;
  return out;
}

Expected<std::uint64_t> limit_of(const Request& request, const Survey& survey,
                                 std::uint64_t parameters) {
  const bool size = request.budget.kind == pass::BudgetKind::kSize;
  const double limit =
      size ? request.budget.value : request.budget.value * static_cast<double>(parameters) / 8;
  const std::uint64_t least = survey.fixed + smallest(survey.items).bytes;
  if (static_cast<double>(least) <= limit) return static_cast<std::uint64_t>(limit);
  // Rounded up: what is named can be asked for.
  const auto up = [](double value) {
    return static_cast<double>(static_cast<std::int64_t>(value * 1000) + 1) / 1000;
  };
  const double bits = 8 * static_cast<double>(least) / static_cast<double>(parameters);
  const std::string possible = size ? format_fixed(up(static_cast<double>(least) / 1e6), 3) + "MB"
                                    : format_fixed(up(bits), 3);
  return Error(ErrorCode::kInvalidArgument,
               "the budget '" + request.budget.text +
                   "' is impossible: the smallest that these passes allow is " + possible)
      .fix("ask for " + possible + " or more, or leave the passes more encodings");
}

Allocation::Allocation(const Survey& survey, const Selection& selection) {
  const Selection least = smallest(survey.items);
  for (std::size_t w = 0; w < survey.weights.size(); ++w) {
    const Item& item = survey.items[w];
    const std::size_t option = selection.options[w];
    const std::string text = "the budget: predicted " + format_significant(item[option].cost) +
                             " (" + format_significant(item[least.options[w]].cost) +
                             " at the smallest)";
    const Survey::Open& open = survey.weights[w];
    by_name_[open.name] = {option, open.wish.offers[option].encoding, text};
  }
}

Expected<pass::Allotment> Allocation::choose(const ir::Model& model,
                                             const pass::OpenWeight& weight) {
  const auto found = by_name_.find(model.weight(weight.weight).name);
  THIMBLE_CHECK(found != by_name_.end(), "a pass leaves open in its run what it did when surveyed");
  return found->second;
}

Expected<ir::Model> preview(const Request& request, const Survey& survey,
                            const Selection& selection) {
  Allocation allocation(survey, selection);
  return dry_run(request, allocation);
}

}  // namespace thimble::allocate
