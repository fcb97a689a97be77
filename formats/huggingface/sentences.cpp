#include "formats/huggingface/sentences.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "text/json.h"
#include "tokenizer/tokenizer.h"

namespace thimble::formats {
namespace {

namespace fs = std::filesystem;

Expected<bool> tells_cases_apart(const ir::Model& model) {
  if (model.tokenizer.empty()) return true;
  THIMBLE_ASSIGN(const auto tokenizer, tokenizer::Tokenizer::load(model.tokenizer));
  return tokenizer.encode("A Lower CASE") != tokenizer.encode("a lower case");
}

// What modules.json lists: the network, a pooling, and perhaps a step to length 1.
struct Modules {
  std::string pooling = "1_Pooling";  // a folder
  bool normalize = false;
};

Expected<Modules> read_modules(const std::string& path) {
  THIMBLE_ASSIGN(const text::Json json, text::read_json(path));
  if (!json.is_array()) return invalid_file("is not a list").in(path);
  Modules modules;
  for (const text::Json& module : json) {
    const auto text = [&](const char* key) {
      const bool given = module.is_object() && module.contains(key) && module[key].is_string();
      return given ? module[key].get<std::string>() : std::string();
    };
    const std::string type = text("type");
    const std::string name = type.substr(type.rfind('.') + 1);
    if (name == "Pooling") {
      modules.pooling = text("path");
      if (modules.pooling.find_first_of("./") != std::string::npos)
        return invalid_file("a module's path leaves the folder").in(path);
    } else if (name == "Normalize") {
      modules.normalize = true;
    } else if (name != "Transformer" || !text("path").empty()) {
      return unsupported("the module '" + (type.empty() ? module.dump() : type) +
                         "' is not supported; supported are Transformer, Pooling and Normalize")
          .in(path)
          .fix("remove modules.json for the embeddings of tokens alone");
    }
  }
  return modules;
}

Expected<ir::Pooling> read_pooling(const std::string& path) {
  THIMBLE_ASSIGN(const text::Json json, text::read_json(path));
  if (!json.is_object()) return invalid_file("is not a map").in(path);
  // Each mode has a key of its own, or `pooling_mode` names one; several are put side by side.
  std::set<std::string> modes;
  for (const auto& [key, value] : json.items()) {
    if (key == "pooling_mode") modes.insert(value.is_string() ? value.get<std::string>() : "");
    if (key.starts_with("pooling_mode_") && value == true)
      modes.insert(key.substr(std::string_view("pooling_mode_").size()));
  }
  if (modes == std::set<std::string>{"cls_token"} || modes == std::set<std::string>{"cls"})
    return ir::Pooling::kCls;
  if (modes == std::set<std::string>{"mean_tokens"} || modes == std::set<std::string>{"mean"})
    return ir::Pooling::kMean;
  return unsupported("only mean and CLS pooling are supported, one of them").in(path);
}

}  // namespace

Expected<Sentences> read_sentences(const std::string& folder) {
  Modules modules{.normalize = true};
  const bool listed = fs::exists(folder + "/modules.json");
  if (listed) {
    THIMBLE_ASSIGN(modules, read_modules(folder + "/modules.json"));
  }
  Sentences sentences{.normalize = modules.normalize};
  const std::string path = folder + "/" + modules.pooling + "/config.json";
  if (fs::exists(path)) {
    THIMBLE_ASSIGN(sentences.pooling, read_pooling(path));
  } else if (listed || fs::exists(folder + "/sentence_bert_config.json")) {
    sentences.pooling = ir::Pooling::kMean;
  }
  return sentences;
}

Status read_sentence_limits(const std::string& folder, ir::Model& model) {
  const std::string path = folder + "/sentence_bert_config.json";
  if (!fs::exists(path)) return ok();
  THIMBLE_ASSIGN(const text::Json json, text::read_json(path));
  if (!json.is_object()) return invalid_file("is not a map").in(path);
  const auto limit = json.find("max_seq_length");
  if (limit != json.end() && !limit->is_null()) {
    if (!limit->is_number_integer() || limit->get<std::int64_t>() < 3)
      return invalid_file("'max_seq_length' must be a whole number of at least 3").in(path);
    model.max_context = std::min(model.max_context, limit->get<std::int64_t>());
  }
  if (json.value("do_lower_case", text::Json(false)) != text::Json(true)) return ok();
  THIMBLE_ASSIGN(const bool apart, tells_cases_apart(model));
  if (!apart) return ok();
  return unsupported(
             "'do_lower_case' of a tokenizer that tells upper case from lower is not supported")
      .in(path)
      .fix("set it to false and give texts in lower case");
}

}  // namespace thimble::formats
