#include <cmath>

#include "ir/activation_words.h"
#include "ir/text_form.h"
#include "ir/text_parser.h"

namespace thimble::ir {
namespace {

// False: there is no such key, or it can't have this value.
bool set_field(Model& model, const std::string& key, const std::string& value) {
  if (key == "architecture") return model.architecture = value, true;
  if (key == "format") return model.source_format = value, true;
  if (key == "task") {
    const bool generate = value == "generate", embed = value == "embed";
    model.task = generate ? Task::kGenerate : embed ? Task::kEmbed : Task::kTensors;
    return generate || embed || value == "tensors";
  }
  const bool mean = value == "mean", cls = value == "cls";
  model.pooling = mean ? Pooling::kMean : cls ? Pooling::kCls : Pooling::kNone;
  return key == "pooling" && (mean || cls || value == "none");
}

}  // namespace

Expected<Model> TextParser::run() {
  THIMBLE_TRY(advance());
  bool has_graph = false;
  for (;;) {
    THIMBLE_TRY(skip_lines());
    if (token_.kind == Kind::kEnd) break;
    if (token_.is_word("model")) {
      THIMBLE_TRY(header());
    } else if (token_.is_word("state")) {
      THIMBLE_TRY(state());
    } else if (token_.is_word("weight")) {
      THIMBLE_TRY(weight());
    } else if (token_.is_word("body")) {
      THIMBLE_TRY(advance());
      model_.graphs.emplace_back();
      Graph body;
      THIMBLE_TRY(graph(body));
      model_.graphs.back() = std::move(body);
    } else if (token_.is_word("graph") && !has_graph) {
      has_graph = true;
      THIMBLE_TRY(advance());
      THIMBLE_TRY(graph(model_.graph));
    } else {
      return wrong("'model', 'state', 'weight', 'body' or one 'graph' expected");
    }
  }
  if (!has_graph) return wrong("there is no graph");
  return std::move(model_);
}

Status TextParser::skip_lines() {
  while (token_.kind == Kind::kNewline || token_.kind == Kind::kComment) THIMBLE_TRY(advance());
  return ok();
}

Status TextParser::expect(char c) {
  if (!token_.is(c)) return wrong("'" + std::string(1, c) + "' expected");
  return advance();
}

Expected<bool> TextParser::take(char c) {
  if (!token_.is(c)) return false;
  THIMBLE_TRY(advance());
  return true;
}

Expected<std::string> TextParser::take_text(Kind kind, std::string_view what) {
  if (token_.kind != kind) return wrong(std::string(what) + " expected");
  std::string text = std::move(token_.text);
  THIMBLE_TRY(advance());
  return text;
}

Expected<std::int64_t> TextParser::take_integer() {
  if (token_.kind != Kind::kInteger) return wrong("a whole number expected");
  const std::int64_t value = token_.integer;
  THIMBLE_TRY(advance());
  return value;
}

Status TextParser::header() {
  THIMBLE_TRY(advance());
  THIMBLE_TRY(expect('{'));
  for (bool more = true; more;) {
    THIMBLE_ASSIGN(const std::string key, take_text(Kind::kWord, "a key"));
    THIMBLE_TRY(expect('='));
    if (key == "max_context") {
      THIMBLE_ASSIGN(model_.max_context, take_integer());
    } else {
      const Token at = token_;
      THIMBLE_ASSIGN(const std::string value, take_text(Kind::kString, "a string"));
      if (!set_field(model_, key, value))
        return lexer_.wrong(at, "unknown " + key + " '" + value + "'");
    }
    THIMBLE_ASSIGN(more, take(','));
  }
  return expect('}');
}

Status TextParser::state() {
  THIMBLE_TRY(advance());
  THIMBLE_ASSIGN(std::string input, take_text(Kind::kValue, "a graph input"));
  THIMBLE_TRY(expect('<'));
  if (!token_.is('-')) return wrong("'<-' expected");
  THIMBLE_TRY(advance());
  THIMBLE_ASSIGN(std::string output, take_text(Kind::kValue, "a graph output"));
  model_.states.push_back({std::move(input), std::move(output)});
  return ok();
}

Status TextParser::weight() {
  THIMBLE_TRY(advance());
  Weight weight;
  const Token at = token_;
  THIMBLE_ASSIGN(weight.name, take_text(Kind::kWeight, "a weight"));
  THIMBLE_TRY(expect(':'));
  THIMBLE_ASSIGN(weight.dtype, type_name());
  THIMBLE_TRY(dims(weight));
  if (token_.is_word("as")) THIMBLE_TRY(encoding(weight));
  if (token_.is_word("parameters")) {
    THIMBLE_TRY(advance());
    THIMBLE_ASSIGN(const std::int64_t count, take_integer());
    if (count < 0) return wrong("a number of parameters expected");
    weight.source_parameters = static_cast<std::uint64_t>(count);
  }
  THIMBLE_ASSIGN(const bool has_values, take('='));
  if (has_values) THIMBLE_TRY(values(weight));
  const std::string name = weight.name;
  if (!weights_.emplace(name, model_.add_weight(std::move(weight))).second)
    return lexer_.wrong(at, "weight '@" + name + "' is there already");
  return ok();
}

Status TextParser::dims(Weight& weight) {
  return list('[', ']', [&]() -> Status {
    THIMBLE_ASSIGN(const std::int64_t dim, take_integer());
    std::int64_t total = 0;
    if (dim < 0 || __builtin_mul_overflow(weight.element_count(), dim, &total))
      return wrong("a weight cannot have this shape");
    weight.dims.push_back(dim);
    return ok();
  });
}

Status TextParser::encoding(Weight& weight) {
  std::string text;
  THIMBLE_TRY(advance());
  const Token at = token_;
  while (token_.kind == Kind::kWord || token_.kind == Kind::kInteger ||
         token_.kind == Kind::kReal) {
    if (token_.is_word("parameters")) break;
    text += (text.empty() ? "" : " ") + token_.text;
    THIMBLE_TRY(advance());
  }
  Expected<Encoding> parsed = Encoding::parse(text);
  if (!parsed) return lexer_.wrong(at, parsed.error().message);
  weight.encoding = *std::move(parsed);
  return ok();
}

Status TextParser::values(Weight& weight) {
  const Token at = token_;
  THIMBLE_ASSIGN(const AttributeValue list, list_value());
  const std::optional<PlainValues> plain = plain_values(weight.dtype, list);
  if (!plain) return lexer_.wrong(at, "values of this type cannot be written so");
  if (!weight.encoding.is_dense() ||
      static_cast<std::int64_t>(plain->count) != weight.element_count()) {
    return lexer_.wrong(at, "the number of values is not that of the shape");
  }
  const auto rows = static_cast<std::uint64_t>(weight.rows());
  weight.source = owned_dense(plain->bytes, rows == 0 ? 0 : weight.byte_size() / rows);
  return ok();
}

Expected<DType> TextParser::type_name() {
  const std::optional<DType> type = dtype_from_name(token_.text);
  if (token_.kind != Kind::kWord || !type) return wrong("a type such as f32 expected");
  THIMBLE_TRY(advance());
  return *type;
}

Expected<std::optional<Shape>> TextParser::shape() {
  if (!token_.is('[')) return wrong("'[' expected");
  const Token at = token_;
  std::string_view text = lexer_.until("]");
  THIMBLE_TRY(advance());
  THIMBLE_TRY(expect(']'));
  if (text == "*") return std::optional<Shape>();
  Shape out;
  int depth = 0;
  for (std::size_t i = 0, begin = 0; i <= text.size() && !text.empty(); ++i) {
    const char c = i < text.size() ? text[i] : ',';
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (i < text.size() && (c != ',' || depth != 0)) continue;
    Expected<Dim> dim = Dim::parse(text.substr(begin, i - begin));
    if (!dim) return lexer_.wrong(at, dim.error().message);
    out.push_back(*std::move(dim));
    begin = i + 1;
  }
  return std::optional(std::move(out));
}

Status TextParser::type(Value& value) {
  THIMBLE_ASSIGN(const bool present, take(':'));
  if (!present) return ok();
  THIMBLE_ASSIGN(value.dtype, type_name());
  THIMBLE_ASSIGN(value.shape, shape());
  if (!token_.is_word("as")) return ok();
  THIMBLE_TRY(advance());
  if (token_.kind == Kind::kWord)
    value.activation = activation_named(token_.text).value_or(ActivationScheme::kFloat);
  if (value.activation == ActivationScheme::kFloat)
    return wrong("'int8', 'int8-token' or 'int16' expected");
  THIMBLE_TRY(advance());
  return value.activation == ActivationScheme::kInt8 ? static_scale(value) : ok();
}

Status TextParser::static_scale(Value& value) {
  THIMBLE_ASSIGN(const bool present, take('('));
  if (!present) return ok();
  if (token_.kind != Kind::kReal || !(token_.real > 0) || !std::isfinite(token_.real))
    return wrong("a scale above 0 expected");
  value.activation = ActivationScheme::kStatic;
  value.static_scale.scale = token_.real;
  THIMBLE_TRY(advance());
  THIMBLE_TRY(expect(','));
  THIMBLE_ASSIGN(const std::int64_t zero, take_integer());
  if (zero < -127 || zero > 127) return wrong("a zero from -127 to 127 expected");
  value.static_scale.zero = static_cast<std::int32_t>(zero);
  return expect(')');
}

Expected<Model> parse(std::string_view text, std::string_view file_name) {
  return TextParser(text, file_name).run();
}

}  // namespace thimble::ir
