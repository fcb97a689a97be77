#pragma once
// The parser of the text form (text_form.h), by recursive descent: a method for each form, which
// starts at its first token and ends behind its last. parse.cpp has a model's lines and types,
// parse_graph.cpp graphs.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ir/model.h"
#include "ir/text_lexer.h"

namespace thimble::ir {

class TextParser {
 public:
  TextParser(std::string_view text, std::string_view file) : lexer_(text, file) {}

  Expected<Model> run();

 private:
  using Kind = Token::Kind;

  Error wrong(std::string message) const { return lexer_.wrong(token_, std::move(message)); }

  Status advance() {
    THIMBLE_ASSIGN(token_, lexer_.next());
    return ok();
  }
  Status skip_lines();
  Status expect(char c);
  // True when the punctuation was there and has been taken.
  Expected<bool> take(char c);
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
  Expected<std::string> take_text(Kind kind, std::string_view what);
  Expected<std::int64_t> take_integer();

  // A model's lines.
  Status header();
  Status state();
  Status weight();
  Status dims(Weight& weight);
  // The words after `as`, up to what may follow an encoding.
  Status encoding(Weight& weight);
  Status values(Weight& weight);

  // Types of values.
  Expected<DType> type_name();
  // `[batch, max(a, 2), 4]` or `[*]`; the current token is the bracket.
  Expected<std::optional<Shape>> shape();
  // `: f32[batch, 4] as int8`, `as int8-token`, `as int16` or `as int8(SCALE, ZERO)`, all of it
  // optional.
  Status type(Value& value);
  // `(0.05, -3)`, if it is there.
  Status static_scale(Value& value);

  // Graphs.
  Status graph(Graph& graph);
  // `(%a: f32[n], %b)`: inputs or captures.
  using AddParameter = ValueId (Graph::*)(std::string, DType, std::optional<Shape>);
  Status parameters(Graph& graph, AddParameter add);
  // A value that is defined here: its name and type; no name for `_`.
  Expected<Value> definition(const Graph& graph);
  Status line(Graph& graph);
  // `domain::Op(inputs) {attributes}  // name`
  Expected<Node> call(Graph& graph);
  Expected<ValueId> use(Graph& graph);
  Expected<WeightId> weight_id();
  // The constant of the weight that the current token names, under the given name; made on first
  // use.
  Expected<ValueId> constant(Graph& graph, const std::string& name);
  Status attributes(Node& node);
  Expected<AttributeValue> attribute_value();
  // [1, 2], [1.0], ["a"], or ints[], floats[], strings[].
  Expected<AttributeValue> list_value();
  Status add_to(AttributeValue& values);

  Lexer lexer_;
  Token token_;  // the current one
  Model model_;
  std::map<std::string, WeightId> weights_;
};

}  // namespace thimble::ir
