// BERT's vocab.txt: a token a line, its number the token's id.

#include "text/compile.h"
#include "text/json.h"

namespace thimble::text {
namespace {

using namespace tokenizer;  // NOLINT: this file writes its tables

// What BertTokenizer does to a text, by its options in tokenizer_config.json.
std::vector<NormalizeStep> normalizers(const Json& config) {
  const bool lower = flag_of(config, "do_lower_case", true);
  std::vector<NormalizeStep> steps = {{Normalize::kBertClean, "", ""}};
  if (flag_of(config, "tokenize_chinese_chars", true))
    steps.push_back({Normalize::kBertChinese, "", ""});
  if (flag_of(config, "strip_accents", lower)) {
    steps.push_back({Normalize::kNfd, "", ""});
    steps.push_back({Normalize::kStripAccents, "", ""});
  }
  if (lower) steps.push_back({Normalize::kLowercase, "", ""});
  return steps;
}

}  // namespace

Expected<Tables> compile_wordpiece(const WordPiece& files, const std::string& folder) {
  Json config = Json::object();
  if (!files.config.empty()) {
    THIMBLE_ASSIGN(config, parse_json(files.config, folder + "/tokenizer_config.json"));
  }
  const std::string_view vocabulary = files.vocabulary;
  Tables tables;
  tables.algorithm = Algorithm::kWordPiece;
  tables.continuing_prefix = "##";
  for (std::size_t at = 0; at < vocabulary.size();) {
    std::size_t end = vocabulary.find('\n', at);
    if (end == std::string_view::npos) end = vocabulary.size();
    std::string_view line = vocabulary.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool special = line.starts_with('[') && line.ends_with(']') && line.size() > 2;
    const auto id = static_cast<std::int32_t>(tables.tokens.size());
    tables.tokens.push_back(
        {std::string(line), 0, special ? TokenKind::kControl : TokenKind::kNormal});
    if (line == "[UNK]") tables.unknown = id;
    if (line == "[PAD]") tables.pad = id;
    if (line == "[CLS]") tables.prefix = {id};
    if (line == "[SEP]") tables.suffix = {id};
    if (line == "[UNK]" || line == "[PAD]" || line == "[CLS]" || line == "[SEP]" ||
        line == "[MASK]")
      tables.added.push_back({id, std::string(line), true});
    at = end + 1;
  }
  tables.normalizers = normalizers(config);
  tables.splits = {{Split::kBert, ""}};
  tables.decoders = {Decode::kWordPiece};
  if (Status status = verify(tables); !status)
    return std::move(status).error().in(folder + "/vocab.txt");
  return tables;
}

}  // namespace thimble::text
