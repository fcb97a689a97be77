#include "formats/huggingface/sentences.h"

#include <algorithm>
#include <filesystem>

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

}  // namespace

Expected<ir::Pooling> read_pooling(const std::string& folder, const ReadOptions& options) {
  if (options.pooling) return *options.pooling;
  const std::string path = folder + "/1_Pooling/config.json";
  if (!fs::exists(path)) {
    return fs::exists(folder + "/modules.json") || fs::exists(folder + "/sentence_bert_config.json")
               ? ir::Pooling::kMean
               : ir::Pooling::kNone;
  }
  THIMBLE_ASSIGN(const text::Json json, text::read_json(path));
  auto is_on = [&](const char* key) {
    return json.contains(key) && json[key].is_boolean() && json[key].get<bool>();
  };
  if (is_on("pooling_mode_cls_token")) return ir::Pooling::kCls;
  if (is_on("pooling_mode_mean_tokens")) return ir::Pooling::kMean;
  return unsupported("only mean and CLS pooling are supported").in(path);
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
