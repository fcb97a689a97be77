#include <cmath>
#include <map>

#include "ir/activation_words.h"
#include "ir/model.h"
#include "ir/text_form.h"
#include "ir/text_lexer.h"

namespace thimble::ir {
namespace {

using Kind = Token::Kind;

class Parser {
 public:
  Parser(std::string_view text, std::string_view file) : lexer_(text, file) {}

  Expected<Model> run() {
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

 private:
  Error wrong(std::string message) const { return lexer_.wrong(token_, std::move(message)); }

  Status advance() {
    THIMBLE_ASSIGN(token_, lexer_.next());
    return ok();
  }
  Status skip_lines() {
    while (token_.kind == Kind::kNewline || token_.kind == Kind::kComment) THIMBLE_TRY(advance());
    return ok();
  }
  Status expect(char c) {
    if (!token_.is(c)) return wrong("'" + std::string(1, c) + "' expected");
    return advance();
  }
  // True when the punctuation was there and has been taken.
  Expected<bool> take(char c) {
    if (!token_.is(c)) return false;
    THIMBLE_TRY(advance());
    return true;
  }
  // What lies between two brackets, with commas between and perhaps behind.
  template <class F>
  Status list(char open, char close, F&& item) {
    THIMBLE_TRY(expect(open));
    while (!token_.is(close)) {
      THIMBLE_TRY(item());
      THIMBLE_ASSIGN(const bool more, take(','));
      if (!more) break;
    }
    return expect(close);
  }
  Expected<std::string> take_text(Kind kind, std::string_view what) {
    if (token_.kind != kind) return wrong(std::string(what) + " expected");
    std::string text = std::move(token_.text);
    THIMBLE_TRY(advance());
    return text;
  }
  Expected<std::int64_t> take_integer() {
    if (token_.kind != Kind::kInteger) return wrong("a whole number expected");
    const std::int64_t value = token_.integer;
    THIMBLE_TRY(advance());
    return value;
  }

  Status header() {
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
        if (!set_field(key, value)) return lexer_.wrong(at, "unknown " + key + " '" + value + "'");
      }
      THIMBLE_ASSIGN(more, take(','));
    }
    return expect('}');
  }

  bool set_field(const std::string& key, const std::string& value) {
    if (key == "architecture") return model_.architecture = value, true;
    if (key == "format") return model_.source_format = value, true;
    if (key == "task") {
      const bool generate = value == "generate", embed = value == "embed";
      model_.task = generate ? Task::kGenerate : embed ? Task::kEmbed : Task::kTensors;
      return generate || embed || value == "tensors";
    }
    const bool mean = value == "mean", cls = value == "cls";
    model_.pooling = mean ? Pooling::kMean : cls ? Pooling::kCls : Pooling::kNone;
    return key == "pooling" && (mean || cls || value == "none");
  }

  Status state() {
    THIMBLE_TRY(advance());
    THIMBLE_ASSIGN(std::string input, take_text(Kind::kValue, "a graph input"));
    THIMBLE_TRY(expect('<'));
    if (!token_.is('-')) return wrong("'<-' expected");
    THIMBLE_TRY(advance());
    THIMBLE_ASSIGN(std::string output, take_text(Kind::kValue, "a graph output"));
    model_.states.push_back({std::move(input), std::move(output)});
    return ok();
  }

  Expected<DType> type_name() {
    const std::optional<DType> type = dtype_from_name(token_.text);
    if (token_.kind != Kind::kWord || !type) return wrong("a type such as f32 expected");
    THIMBLE_TRY(advance());
    return *type;
  }

  Status weight() {
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

  Status dims(Weight& weight) {
    return list('[', ']', [&]() -> Status {
      THIMBLE_ASSIGN(const std::int64_t dim, take_integer());
      std::int64_t total = 0;
      if (dim < 0 || __builtin_mul_overflow(weight.element_count(), dim, &total))
        return wrong("a weight cannot have this shape");
      weight.dims.push_back(dim);
      return ok();
    });
  }

  // The words after `as`, up to what may follow an encoding.
  Status encoding(Weight& weight) {
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

  Status values(Weight& weight) {
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

  // `[batch, max(a, 2), 4]` or `[*]`; the current token is the bracket.
  Expected<std::optional<Shape>> shape() {
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

  // `: f32[batch, 4] as int8`, `as int8-token`, `as int16` or `as int8(SCALE, ZERO)`, all of it
  // optional.
  Status type(Value& value) {
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

  // `(0.05, -3)`, if it is there.
  Status static_scale(Value& value) {
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

  // A value that is defined here: its name and type; no name for `_`.
  Expected<Value> definition(const Graph& graph) {
    Value value;
    if (token_.is_word("_")) {
      THIMBLE_TRY(advance());
      return value;
    }
    const Token at = token_;
    THIMBLE_ASSIGN(value.name, take_text(Kind::kValue, "a value such as %x"));
    if (value.name.empty() || graph.find_value(value.name))
      return lexer_.wrong(at, "the name '%" + value.name + "' is empty or taken");
    THIMBLE_TRY(type(value));
    return value;
  }

  static void set_type(Graph& graph, ValueId id, const Value& from) {
    Value& value = graph.value(id);
    value.dtype = from.dtype;
    value.shape = from.shape;
    value.activation = from.activation;
    value.static_scale = from.static_scale;
  }

  Expected<ValueId> use(Graph& graph) {
    if (token_.is_word("_")) {
      THIMBLE_TRY(advance());
      return ValueId{};
    }
    if (token_.kind == Kind::kWeight) return constant(graph, token_.text);
    if (token_.kind != Kind::kValue)
      return wrong("a value such as %x, a weight such as @w or _ expected");
    const std::optional<ValueId> found = graph.find_value(token_.text);
    if (!found) return wrong("there is no value '%" + token_.text + "' above");
    THIMBLE_TRY(advance());
    return *found;
  }

  Expected<WeightId> weight_id() {
    const auto found = weights_.find(token_.text);
    if (found == weights_.end()) return wrong("there is no weight '@" + token_.text + "'");
    THIMBLE_TRY(advance());
    return found->second;
  }

  // The constant of the weight that the current token names, under the given name; made on first
  // use.
  Expected<ValueId> constant(Graph& graph, const std::string& name) {
    const Token at = token_;
    const std::string wanted = name;
    THIMBLE_ASSIGN(const WeightId id, weight_id());
    const std::optional<ValueId> existing = graph.find_value(wanted);
    if (existing && graph.value(*existing).weight == id) return *existing;
    if (existing) return lexer_.wrong(at, "the name '" + wanted + "' is taken");
    const Weight& weight = model_.weight(id);
    return graph.add_constant(id, wanted, constant_type(model_, weight),
                              Shape(weight.dims.begin(), weight.dims.end()));
  }

  // `(%a: f32[n], %b)`: inputs or captures.
  using AddParameter = ValueId (Graph::*)(std::string, DType, std::optional<Shape>);
  Status parameters(Graph& graph, AddParameter add) {
    return list('(', ')', [&]() -> Status {
      THIMBLE_ASSIGN(const Value input, definition(graph));
      set_type(graph, (graph.*add)(input.name, input.dtype, input.shape), input);
      return ok();
    });
  }

  Status graph(Graph& graph) {
    if (token_.kind != Kind::kWord && token_.kind != Kind::kString)
      return wrong("the graph's name expected");
    graph.name = token_.text;
    THIMBLE_TRY(advance());
    THIMBLE_TRY(parameters(graph, &Graph::add_input));
    if (token_.is_word("captures")) {
      THIMBLE_TRY(advance());
      THIMBLE_TRY(parameters(graph, &Graph::add_capture));
    }
    THIMBLE_TRY(expect('{'));
    for (;;) {
      THIMBLE_TRY(skip_lines());
      if (token_.is_word("return")) break;
      THIMBLE_TRY(line(graph));
    }
    THIMBLE_TRY(advance());
    std::vector<ValueId> outputs;
    while (token_.kind == Kind::kValue || token_.kind == Kind::kWeight) {
      THIMBLE_ASSIGN(const ValueId output, use(graph));
      outputs.push_back(output);
      THIMBLE_ASSIGN(const bool more, take(','));
      if (!more) break;
    }
    graph.set_outputs(std::move(outputs));
    THIMBLE_TRY(skip_lines());
    return expect('}');
  }

  Status line(Graph& graph) {
    std::vector<Value> results;
    for (bool more = true; more;) {
      THIMBLE_ASSIGN(Value result, definition(graph));
      for (const Value& other : results) {
        if (!result.name.empty() && other.name == result.name)
          return wrong("a name is given twice");
      }
      results.push_back(std::move(result));
      THIMBLE_ASSIGN(more, take(','));
    }
    THIMBLE_TRY(expect('='));
    if (token_.kind == Kind::kWeight && results.size() == 1) {
      THIMBLE_TRY(constant(graph, results[0].name));
      return ok();
    }
    THIMBLE_ASSIGN(Node node, call(graph));
    std::vector<std::string> names;
    for (const Value& result : results) names.push_back(result.name);
    const NodeId id = graph.add_node(std::move(node), names);
    for (std::size_t i = 0; i < results.size(); ++i) {
      const ValueId output = graph.node(id).outputs[i];
      if (output.valid()) set_type(graph, output, results[i]);
    }
    return ok();
  }

  // `domain::Op(inputs) {attributes}  // name`
  Expected<Node> call(Graph& graph) {
    Node node;
    THIMBLE_ASSIGN(node.op, take_text(Kind::kWord, "an operator"));
    if (const std::size_t colons = node.op.rfind("::"); colons != std::string::npos) {
      node.domain = node.op.substr(0, colons);
      node.op.erase(0, colons + 2);
    }
    THIMBLE_TRY(list('(', ')', [&]() -> Status {
      THIMBLE_ASSIGN(const ValueId input, use(graph));
      node.inputs.push_back(input);
      return ok();
    }));
    if (token_.is('{')) THIMBLE_TRY(attributes(node));
    if (token_.kind == Kind::kComment) {
      node.name = token_.text;
      THIMBLE_TRY(advance());
    }
    if (token_.kind != Kind::kNewline) return wrong("the end of the line expected");
    return node;
  }

  Status attributes(Node& node) {
    THIMBLE_TRY(advance());
    for (bool more = true; more;) {
      Attribute attribute;
      THIMBLE_ASSIGN(attribute.name, take_text(Kind::kWord, "an attribute's name"));
      if (node.find(attribute.name) != nullptr)
        return wrong("attribute '" + attribute.name + "' is there already");
      THIMBLE_TRY(expect('='));
      THIMBLE_ASSIGN(attribute.value, attribute_value());
      node.attributes.push_back(std::move(attribute));
      THIMBLE_ASSIGN(more, take(','));
    }
    return expect('}');
  }

  Expected<AttributeValue> attribute_value() {
    if (token_.is('[') || token_.kind == Kind::kWord) return list_value();
    if (token_.kind == Kind::kWeight) {
      THIMBLE_ASSIGN(const WeightId id, weight_id());
      return AttributeValue(id);
    }
    AttributeValue value;
    switch (token_.kind) {
      case Kind::kInteger:
        value = token_.integer;
        break;
      case Kind::kReal:
        value = token_.real;
        break;
      case Kind::kString:
        value = token_.text;
        break;
      case Kind::kBody:
        if (token_.integer < 0 ||
            token_.integer >= static_cast<std::int64_t>(model_.graphs.size())) {
          return wrong("there is no such body above");
        }
        value = GraphId{static_cast<std::uint32_t>(token_.integer)};
        break;
      default:
        return wrong("an attribute's value expected");
    }
    THIMBLE_TRY(advance());
    return value;
  }

  // [1, 2], [1.0], ["a"], or ints[], floats[], strings[].
  Expected<AttributeValue> list_value() {
    AttributeValue values = std::vector<std::int64_t>{};
    if (token_.kind == Kind::kWord) {
      if (token_.text == "floats") values = std::vector<float>{};
      if (token_.text == "strings") values = std::vector<std::string>{};
      THIMBLE_TRY(advance());
    }
    bool first = true;
    THIMBLE_TRY(list('[', ']', [&]() -> Status {
      if (first && token_.kind == Kind::kReal) values = std::vector<float>{};
      if (first && token_.kind == Kind::kString) values = std::vector<std::string>{};
      first = false;
      return add_to(values);
    }));
    return values;
  }

  Status add_to(AttributeValue& values) {
    if (auto* integers = std::get_if<std::vector<std::int64_t>>(&values)) {
      THIMBLE_ASSIGN(const std::int64_t integer, take_integer());
      integers->push_back(integer);
    } else if (auto* reals = std::get_if<std::vector<float>>(&values)) {
      if (token_.kind != Kind::kReal) return wrong("a number with a point expected");
      reals->push_back(token_.real);
      THIMBLE_TRY(advance());
    } else {
      THIMBLE_ASSIGN(std::string text, take_text(Kind::kString, "a string"));
      std::get<std::vector<std::string>>(values).push_back(std::move(text));
    }
    return ok();
  }

  Lexer lexer_;
  Token token_;
  Model model_;
  std::map<std::string, WeightId> weights_;
};

}  // namespace

Expected<Model> parse(std::string_view text, std::string_view file_name) {
  return Parser(text, file_name).run();
}

}  // namespace thimble::ir
