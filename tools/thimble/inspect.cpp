// thimble inspect: what a file holds.

#include <cstdio>
#include <map>

#include <nlohmann/json.hpp>

#include "report/json.h"
#include "report/table.h"
#include "support/text.h"
#include "tools/thimble/metadata.h"
#include "tools/thimble/open.h"

namespace thimble::cli {
namespace {

struct InspectChoices {
  std::string file;
  bool tensors = false, graph = false, metadata = false, verify = false;
};

// One row of the tensor list, whatever kind of file it comes from.
struct TensorRow {
  std::string name, scheme, dims;
  std::uint64_t bytes = 0;
};

std::string scheme_text(const program::Tensor& tensor) {
  if (tensor.layout == program::Layout::kCoded) return "8-bit per channel symmetric f32";
  if (tensor.layout != program::Layout::kTiles) return std::string(program::type_name(tensor.type));
  std::string out = std::to_string(tensor.bits) + "-bit ";
  out += tensor.group_size >= tensor.inputs ? "per channel"
                                            : "group " + std::to_string(tensor.group_size);
  static constexpr const char* kZeros[] = {" symmetric", " points", " minima"};
  return out + kZeros[static_cast<std::size_t>(tensor.zero)] + " " +
         std::string(program::type_name(tensor.type));
}

std::vector<TensorRow> rows_of(const program::Bundle& bundle) {
  std::vector<TensorRow> rows;
  for (const program::Tensor& tensor : bundle.program.tensors) {
    rows.push_back({tensor.name, scheme_text(tensor), format_dims(tensor.dims),
                    tensor_bytes(bundle.program, tensor)});
  }
  return rows;
}

std::vector<TensorRow> rows_of(const ir::Model& model) {
  std::vector<TensorRow> rows;
  for (const ir::Weight& weight : model.weights) {
    if (weight.source == nullptr) continue;
    rows.push_back({weight.name, weight.scheme(), format_dims(weight.dims), weight.byte_size()});
  }
  return rows;
}

void print_rows(const std::vector<TensorRow>& rows, bool each) {
  std::printf("\n");
  if (each) {
    report::Table table({{"tensor"}, {"scheme"}, {"dims"}, {"bytes", true}});
    for (const TensorRow& row : rows)
      table.add({row.name, row.scheme, row.dims, format_bytes(row.bytes)});
    return table.print();
  }
  std::map<std::string, std::pair<int, std::uint64_t>> by_scheme;
  for (const TensorRow& row : rows) {
    by_scheme[row.scheme].first += 1;
    by_scheme[row.scheme].second += row.bytes;
  }
  report::Table table({{"scheme"}, {"tensors", true}, {"bytes", true}});
  for (const auto& [scheme, sum] : by_scheme)
    table.add({scheme, std::to_string(sum.first), format_bytes(sum.second)});
  table.print();
}

report::Json rows_json(const std::vector<TensorRow>& rows) {
  report::Json list = report::Json::array();
  for (const TensorRow& row : rows)
    list.push_back(
        {{"name", row.name}, {"scheme", row.scheme}, {"dims", row.dims}, {"bytes", row.bytes}});
  return list;
}

Expected<int> inspect_thimble(const InspectChoices& choices, const Globals& globals) {
  THIMBLE_ASSIGN(const program::Bundle bundle, program::open_thimble(choices.file, choices.verify));
  const auto rows = rows_of(bundle);
  if (globals.json) {
    report::Json out = report::document("inspect");
    out["file"] = choices.file;
    out["format"] = "thimble";
    out["file_bytes"] = bundle.file_bytes;
    out["payload_bytes"] = payload_bytes(bundle);
    out["parameters"] = bundle.parameters;
    out["bits_per_weight"] = bits_per_weight(bundle);
    out["metadata"] = report::Json::object();
    for (const auto& [key, value] : bundle.metadata) out["metadata"][key] = value;
    out["tensors"] = rows_json(rows);
    report::print(out);
    return 0;
  }
  std::printf("%s: thimble\n  parameters: %s, bits per weight: %.3f, file: %s, weights: %s\n",
              choices.file.c_str(), format_count(bundle.parameters).c_str(),
              bits_per_weight(bundle), format_bytes(bundle.file_bytes).c_str(),
              format_bytes(payload_bytes(bundle)).c_str());
  if (choices.verify) std::printf("every digest is right\n");
  for (const auto& [key, value] : bundle.metadata) {
    if (choices.metadata ||
        (value.size() < 60 && value.find('\n') == std::string::npos && !is_model_key(key))) {
      std::printf("  %s: %s\n", key.c_str(), value.c_str());
    }
  }
  print_rows(rows, choices.tensors);
  return 0;
}

void print_values(const char* title, const ir::Graph& graph,
                  const std::vector<ir::ValueId>& values) {
  std::printf("  %s:", title);
  for (const ir::ValueId id : values) {
    const ir::Value& value = graph.value(id);
    std::printf(" %s: %s%s%s", value.name.c_str(), std::string(ir::dtype_name(value.dtype)).c_str(),
                value.shape ? ir::to_string(*value.shape).c_str() : "",
                id == values.back() ? "" : ",");
  }
  std::printf("\n");
}

Expected<int> inspect_source(const InspectChoices& choices, const Globals& globals) {
  THIMBLE_ASSIGN(const ir::Model model, read_source(choices.file, globals));
  if (choices.graph && !globals.json) {
    std::printf("%s", ir::print(model).c_str());
    return 0;
  }
  const auto rows = rows_of(model);
  if (globals.json) {
    report::Json out = report::document("inspect");
    out["file"] = choices.file;
    out["format"] = model.source_format;
    out["architecture"] = model.architecture;
    out["payload_bytes"] = model.weight_bytes();
    out["parameters"] = model.parameter_count();
    out["max_context"] = model.max_context;
    out["metadata"] = model.metadata;
    if (choices.graph) out["graph"] = ir::print(model);
    out["tensors"] = rows_json(rows);
    report::print(out);
    return 0;
  }
  const std::string architecture =
      model.architecture.empty() ? "" : ", " + model.architecture;  // ONNX names none
  std::printf("%s: %s%s\n  parameters: %s, weights: %s\n", choices.file.c_str(),
              model.source_format.c_str(), architecture.c_str(),
              format_count(model.parameter_count()).c_str(),
              format_bytes(model.weight_bytes()).c_str());
  std::printf("  nodes: %zu, context: %lld, tokenizer: %s, chat template: %s\n",
              model.graph.order().size(), static_cast<long long>(model.max_context),
              model.tokenizer.empty() ? "none" : "yes",
              model.chat_template.empty() ? "none" : "yes");
  if (model.task == ir::Task::kTensors) {
    print_values("inputs", model.graph, model.graph.inputs());
    print_values("outputs", model.graph, model.graph.outputs());
  }
  if (choices.metadata) {
    for (const auto& [key, value] : model.metadata)
      std::printf("  %s: %s\n", key.c_str(), value.c_str());
  }
  print_rows(rows, choices.tensors);
  return 0;
}

Expected<int> run_inspect(const InspectChoices& choices, const Globals& globals) {
  if (!is_thimble(choices.file)) {
    if (choices.verify)
      return Error(ErrorCode::kUsage, "--verify is of .thimble files: no other holds digests");
    return inspect_source(choices, globals);
  }
  if (choices.graph)
    return Error(ErrorCode::kUsage, "--graph is of source models: a .thimble holds a program")
        .fix("name the model that it was made from");
  if (!globals.dims.empty())
    return Error(ErrorCode::kUsage, "a .thimble's sizes were settled when it was written")
        .fix("leave --dim out");
  return inspect_thimble(choices, globals);
}

}  // namespace

void add_inspect(CLI::App& app, Globals& globals, Selected& selected) {
  auto choices = std::make_shared<InspectChoices>();
  CLI::App* command =
      add_command(app, globals, selected, "inspect", "Show what a model file holds",
                  "  thimble inspect out.thimble --tensors\n  thimble inspect out.thimble "
                  "--verify\n  thimble inspect MODEL --graph",
                  [choices, &globals](Environment&) { return run_inspect(*choices, globals); });
  add_file_argument(*command, choices->file);
  add_dim_option(*command, globals);
  command->add_flag("--tensors", choices->tensors, "Every tensor");
  command->add_flag("--graph", choices->graph, "The graph as text (source models)");
  command->add_flag("--metadata", choices->metadata, "All metadata, the recipe included");
  command->add_flag("--verify", choices->verify, "Check every segment's digest");
}

}  // namespace thimble::cli
