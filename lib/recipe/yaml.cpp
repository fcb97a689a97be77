#include "recipe/yaml.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace thimble::recipe {
namespace {

using pass::OptionValue;

constexpr std::size_t kMaxBytes = 1 << 20;
constexpr int kMaxDepth = 32;
constexpr int kMaxNodes = 100000;

// What ${NAME} is written as for the YAML parser, to which { and } mean something: in a map on one
// line, `{bits: ${BITS}}` would end at the first }. As long as what they stand for, for the columns
// of errors.
constexpr std::string_view kOpen = "$\x01";
constexpr char kClose = '\x02';

std::string with_marked_variables(std::string_view text) {
  std::string out(text);
  for (std::size_t at = 0; (at = out.find("${", at)) != std::string::npos; at += kOpen.size()) {
    const std::size_t end = out.find_first_of("}{\"',: \n", at + kOpen.size());
    if (end == std::string::npos || out[end] != '}') continue;
    out.replace(at, kOpen.size(), kOpen);
    out[end] = kClose;
  }
  return out;
}

class Reader {
 public:
  Reader(const std::string& file, const Variables& variables, Names& read, Mistakes& mistakes)
      : file_(file), variables_(variables), read_(read), mistakes_(mistakes) {}

  Expected<OptionValue> read_root(const YAML::Node& node) { return read(node, place(node), 0); }

 private:
  Place place(const YAML::Node& node) const {
    const YAML::Mark mark = node.Mark();
    return {.file = file_,
            .offset = -1,
            .line = mark.line + 1,
            .column = mark.column + 1,
            .tensor = {}};
  }

  // Of a value that cannot be read: null in its place, and reading goes on. Who finds that null is
  // no such value complains at the same place, which is not told twice.
  bool wrong(const Place& place, std::string message, std::string remedy = "") {
    mistakes_.add(
        Error(ErrorCode::kInvalidRecipe, std::move(message)).at(place).fix(std::move(remedy)));
    return false;
  }

  // `where`: the key that the value belongs to, or the value.
  Expected<OptionValue> read(const YAML::Node& node, const Place& where, int depth) {
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes)
      return Error(ErrorCode::kInvalidRecipe, "nested too deeply, or too large").at(where);
    OptionValue out;
    out.place = where;
    const std::string& tag = node.Tag();
    if (!tag.empty() && tag != "?" && tag != "!") {
      wrong(where, "tags such as " + tag + " have no meaning here");
    } else if (node.IsMap()) {
      THIMBLE_ASSIGN(out.value, read_map(node, depth));
    } else if (node.IsSequence()) {
      THIMBLE_ASSIGN(out.value, read_list(node, depth));
    } else if (node.IsScalar()) {
      read_scalar(node, out);
    }
    return out;
  }

  Expected<OptionValue::List> read_list(const YAML::Node& node, int depth) {
    OptionValue::List list;
    for (const YAML::Node& item : node) {
      THIMBLE_ASSIGN(OptionValue value, read(item, place(item), depth + 1));
      list.push_back(std::move(value));
    }
    return list;
  }

  Expected<OptionValue::Map> read_map(const YAML::Node& node, int depth) {
    OptionValue::Map map;
    for (const auto& entry : node) {
      const Place where = place(entry.first);
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      const bool twice = std::any_of(map.begin(), map.end(),
                                     [&](const auto& known) { return known.first == key; });
      if (!entry.first.IsScalar()) {
        wrong(where, "a key must be a word");
      } else if (key.find(kOpen) != std::string::npos) {
        wrong(where, "a variable stands for a value, not for a key");
      } else if (key == "<<") {
        wrong(where, "merge keys are not supported", "use extends");
      } else if (twice) {
        wrong(where, "'" + key + "' is given twice");
      } else {
        THIMBLE_ASSIGN(OptionValue value, read(entry.second, where, depth + 1));
        map.emplace_back(key, std::move(value));
      }
    }
    return map;
  }

  // Puts in the values of variables; false where one has none.
  bool substitute(const Place& where, std::string& text) {
    std::string out;
    std::size_t from = 0;
    if (text.find("${") != std::string::npos) return wrong(where, "'${' without '}'");
    for (std::size_t at; (at = text.find(kOpen, from)) != std::string::npos;) {
      const std::size_t end = text.find(kClose, at);
      if (end == std::string::npos) return wrong(where, "'${' without '}'");
      const std::string name = text.substr(at + 2, end - at - 2);
      read_.insert(name);
      const auto known = std::find_if(variables_.rbegin(), variables_.rend(),
                                      [&](const auto& v) { return v.first == name; });
      if (known == variables_.rend()) {
        return wrong(where, "no value for ${" + name + "}",
                     "give one with --var " + name + "=VALUE");
      }
      out += text.substr(from, at - from) + known->second;
      from = end + 1;
    }
    text = out + text.substr(from);
    return true;
  }

  void read_scalar(const YAML::Node& node, OptionValue& out) {
    std::string text = node.Scalar();
    if (!substitute(out.place, text)) return;
    static constexpr std::array<std::string_view, 12> kLookalikes = {
        "yes", "Yes", "YES", "no", "No", "NO", "on", "On", "ON", "off", "Off", "OFF"};
    if (node.Tag() == "!") {  // quoted
      out.value = std::move(text);
    } else if (std::find(kLookalikes.begin(), kLookalikes.end(), text) != kLookalikes.end()) {
      wrong(out.place, "'" + text + "' could mean a word or a truth value",
            "write true or false, or quote it");
    } else if (text == "true" || text == "false") {
      out.value = text == "true";
    } else if (!text.empty() && text != "~" && text != "null") {
      read_number_or_text(text, out);
    }
  }

  void read_number_or_text(const std::string& text, OptionValue& out) {
    const std::string_view digits = std::string_view(text).substr(text.starts_with('-') ? 1 : 0);
    const bool numeric =
        !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
    if (numeric && digits.size() > 1 && digits.front() == '0') {
      wrong(out.place, "'" + text + "' could mean an octal number",
            "write it without the leading 0, or quote it");
      return;
    }
    std::int64_t integer = 0;
    double real = 0;
    const char* const end = text.data() + text.size();
    if (const auto r = std::from_chars(text.data(), end, integer);
        r.ec == std::errc() && r.ptr == end) {
      out.value = integer;
    } else if (const auto f = std::from_chars(text.data(), end, real);
               f.ec == std::errc() && f.ptr == end &&
               text.find_first_of("0123456789") != std::string::npos) {
      out.value = real;
    } else {
      out.value = text;
    }
  }

  const std::string& file_;
  const Variables& variables_;
  Names& read_;
  Mistakes& mistakes_;
  int nodes_ = 0;
};

class IgnoreEvents : public YAML::EventHandler {
 public:
  using Mark = YAML::Mark;
  using Anchor = YAML::anchor_t;
  using Style = YAML::EmitterStyle::value;
  void OnDocumentStart(const Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const Mark&, Anchor) override {}
  void OnAlias(const Mark&, Anchor) override {}
  void OnScalar(const Mark&, const std::string&, Anchor, const std::string&) override {}
  void OnSequenceStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const Mark&, const std::string&, Anchor, Style) override {}
  void OnMapEnd() override {}
};

// 2 for several. YAML::LoadAll would ask for documents until there is none; after one that ends in
// the middle of a line its parser gives an empty one for ever.
int count_documents(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  IgnoreEvents ignore;
  int count = 0;
  while (count < 2 && parser.HandleNextDocument(ignore)) ++count;
  return count;
}

// The parser's message, where it doesn't say what is wrong, in words that do.
Error explained(const YAML::Exception& e, const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  for (int at = 0; at <= e.mark.line && std::getline(lines, line); ++at) continue;
  const std::string indent = line.substr(0, line.find_first_not_of(" \t"));
  if (indent.find('\t') != std::string::npos)
    return Error(ErrorCode::kInvalidRecipe, "a tab begins this line").fix("indent with spaces");
  const bool deep = dynamic_cast<const YAML::DeepRecursion*>(&e) != nullptr;
  return Error(ErrorCode::kInvalidRecipe, deep ? "nested too deeply" : e.msg);
}

}  // namespace

Expected<OptionValue> parse_yaml(std::string_view text, const std::string& file,
                                 const Variables& variables, Names& read, Mistakes& mistakes) {
  if (text.size() > kMaxBytes)
    return Error(ErrorCode::kInvalidRecipe, "a recipe has at most 1 MB").in(file);
  if (text.find_first_of(std::string_view("\0\x01\x02", 3)) != std::string_view::npos)
    return Error(ErrorCode::kInvalidRecipe, "not a text file").in(file);
  try {
    const std::string whole = with_marked_variables(text);
    const int documents = count_documents(whole);
    if (documents != 1) {
      return Error(ErrorCode::kInvalidRecipe,
                   documents == 0 ? "the file is empty" : "one document is expected, not several")
          .in(file);
    }
    return Reader(file, variables, read, mistakes).read_root(YAML::Load(whole));
  } catch (const YAML::Exception& e) {
    return explained(e, std::string(text)).in(file).at_line(e.mark.line + 1, e.mark.column + 1);
  }
}

Expected<OptionValue> parse_yaml_value(std::string_view text, const std::string& what) {
  Names read;
  Mistakes mistakes;
  THIMBLE_ASSIGN(OptionValue value,
                 parse_yaml(text.empty() ? "\"\"" : text, what, {}, read, mistakes));
  THIMBLE_TRY(std::move(mistakes).status());
  return value;
}

}  // namespace thimble::recipe
