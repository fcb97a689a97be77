#include "ir/text_parser.h"

namespace thimble::ir {
namespace {

void set_type(Graph& graph, ValueId id, const Value& from) {
  Value& value = graph.value(id);
  value.dtype = from.dtype;
  value.shape = from.shape;
  value.activation = from.activation;
  value.static_scale = from.static_scale;
}

}  // namespace

Status TextParser::graph(Graph& graph) {
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

Status TextParser::parameters(Graph& graph, AddParameter add) {
  return list('(', ')', [&]() -> Status {
    THIMBLE_ASSIGN(const Value input, definition(graph));
    set_type(graph, (graph.*add)(input.name, input.dtype, input.shape), input);
    return ok();
  });
}

Expected<Value> TextParser::definition(const Graph& graph) {
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

Status TextParser::line(Graph& graph) {
  std::vector<Value> results;
  for (bool more = true; more;) {
    THIMBLE_ASSIGN(Value result, definition(graph));
    for (const Value& other : results) {
      if (!result.name.empty() && other.name == result.name) return wrong("a name is given twice");
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

Expected<Node> TextParser::call(Graph& graph) {
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

Expected<ValueId> TextParser::use(Graph& graph) {
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

Expected<WeightId> TextParser::weight_id() {
  const auto found = weights_.find(token_.text);
  if (found == weights_.end()) return wrong("there is no weight '@" + token_.text + "'");
  THIMBLE_TRY(advance());
  return found->second;
}

Expected<ValueId> TextParser::constant(Graph& graph, const std::string& name) {
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

Status TextParser::attributes(Node& node) {
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

Expected<AttributeValue> TextParser::attribute_value() {
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
      if (token_.integer < 0 || token_.integer >= static_cast<std::int64_t>(model_.graphs.size())) {
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

Expected<AttributeValue> TextParser::list_value() {
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

Status TextParser::add_to(AttributeValue& values) {
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

}  // namespace thimble::ir
