#include "ir/graph.h"

#include <algorithm>
#include <iterator>

#include "support/error.h"

namespace thimble::ir {
namespace {

template <class T>
bool contains(const std::vector<T>& all, T one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

template <class T>
const T* attribute_as(const Node& node, std::string_view name) {
  const AttributeValue* value = node.find(name);
  return value == nullptr ? nullptr : std::get_if<T>(value);
}

// Between the places of two nodes at the end, so that others seldom move when one comes between.
constexpr std::uint64_t kApart = std::uint64_t{1} << 32;

}  // namespace

const AttributeValue* Node::find(std::string_view attribute) const {
  for (const Attribute& a : attributes) {
    if (a.name == attribute) return &a.value;
  }
  return nullptr;
}

std::int64_t Node::integer(std::string_view attribute, std::int64_t fallback) const {
  const auto* value = attribute_as<std::int64_t>(*this, attribute);
  return value == nullptr ? fallback : *value;
}

float Node::real(std::string_view attribute, float fallback) const {
  const auto* value = attribute_as<float>(*this, attribute);
  return value == nullptr ? fallback : *value;
}

std::string_view Node::text(std::string_view attribute, std::string_view fallback) const {
  const auto* value = attribute_as<std::string>(*this, attribute);
  return value == nullptr ? fallback : std::string_view(*value);
}

std::vector<std::int64_t> Node::integers(std::string_view attribute) const {
  const auto* value = attribute_as<std::vector<std::int64_t>>(*this, attribute);
  return value == nullptr ? std::vector<std::int64_t>{} : *value;
}

std::string Graph::unique_name(std::string_view wanted) const {
  std::string name(wanted);
  for (int suffix = 1; names_.count(name) != 0; ++suffix) {
    name = std::string(wanted) + "." + std::to_string(suffix);
  }
  return name;
}

ValueId Graph::new_value(Value value) {
  value.name = unique_name(value.name);
  const ValueId id{static_cast<std::uint32_t>(values_.size())};
  names_.emplace(value.name, id);
  values_.push_back({std::move(value), true});
  return id;
}

ValueId Graph::add_input(std::string name, DType dtype, std::optional<Shape> shape) {
  Value value;
  value.name = std::move(name);
  value.dtype = dtype;
  value.shape = std::move(shape);
  inputs_.push_back(new_value(std::move(value)));
  return inputs_.back();
}

ValueId Graph::add_capture(std::string name, DType dtype, std::optional<Shape> shape) {
  if (const std::optional<ValueId> other = find_value(name)) rename(*other, name + ".1");
  captures_.push_back(add_input(std::move(name), dtype, std::move(shape)));
  inputs_.pop_back();
  return captures_.back();
}

ValueId Graph::add_constant(WeightId weight, std::string name, DType dtype, Shape shape) {
  Value value;
  value.name = std::move(name);
  value.dtype = dtype;
  value.shape = std::move(shape);
  value.weight = weight;
  return new_value(std::move(value));
}

std::vector<NodeId>::const_iterator Graph::position(NodeId id) const {
  THIMBLE_CHECK(alive(id), "a node that is alive");
  const auto place_of = [&](NodeId node) { return nodes_[node.index].place; };
  return std::ranges::lower_bound(order_, place_of(id), {}, place_of);
}

std::uint64_t Graph::place_between(std::vector<NodeId>::const_iterator next) {
  const auto bounds = [&] {
    const std::uint64_t after = next == order_.begin() ? 0 : nodes_[std::prev(next)->index].place;
    return std::pair(after, next == order_.end() ? after + 2 * kApart : nodes_[next->index].place);
  };
  if (const auto [after, before] = bounds(); before - after < 2) {
    for (std::size_t i = 0; i < order_.size(); ++i)
      nodes_[order_[i].index].place = (i + 1) * kApart;
  }
  const auto [after, before] = bounds();
  return after + (before - after) / 2;
}

void Graph::note_inputs(NodeId id) {
  for (const ValueId input : node(id).inputs) {
    if (!input.valid()) continue;
    THIMBLE_CHECK(input.index < values_.size(), "inputs are values of the graph");
    values_[input.index].readers.push_back(id);
  }
}

void Graph::forget_inputs(NodeId id) {
  for (const ValueId input : node(id).inputs) {
    if (!input.valid()) continue;
    std::vector<NodeId>& readers = values_[input.index].readers;
    *std::find(readers.begin(), readers.end(), id) = readers.back();
    readers.pop_back();
  }
}

NodeId Graph::place_node(std::vector<NodeId>::const_iterator next, Node node,
                         const std::vector<std::string>& output_names) {
  const NodeId id{static_cast<std::uint32_t>(nodes_.size())};
  std::sort(node.attributes.begin(), node.attributes.end(),
            [](const Attribute& a, const Attribute& b) { return a.name < b.name; });
  node.outputs.clear();
  for (const std::string& name : output_names) {
    Value value;
    value.name = name;
    value.producer = id;
    node.outputs.push_back(name.empty() ? ValueId{} : new_value(std::move(value)));
  }
  nodes_.push_back({std::move(node), true, place_between(next)});
  order_.insert(next, id);
  note_inputs(id);
  return id;
}

NodeId Graph::add_node(Node node, const std::vector<std::string>& output_names) {
  return place_node(order_.end(), std::move(node), output_names);
}

NodeId Graph::insert_before(NodeId place, Node node, const std::vector<std::string>& output_names) {
  return place_node(position(place), std::move(node), output_names);
}

void Graph::erase(NodeId id) {
  THIMBLE_CHECK(alive(id), "erase a node that is alive");
  for (const ValueId output : nodes_[id.index].node.outputs) {
    if (!output.valid()) continue;
    THIMBLE_CHECK(users(output).empty() && !is_output(output),
                  "results of an erased node are unused: " + value(output).name);
    names_.erase(value(output).name);
    values_[output.index].alive = false;
  }
  order_.erase(position(id));
  forget_inputs(id);
  nodes_[id.index].alive = false;
}

void Graph::set_input(NodeId id, std::size_t index, ValueId value) {
  edit(id, [&](Node& node) { node.inputs[index] = value; });
}

void Graph::replace_inputs(NodeId id, ValueId from, ValueId to) {
  edit(id, [&](Node& node) { std::replace(node.inputs.begin(), node.inputs.end(), from, to); });
}

void Graph::erase_unused_constants() {
  for (const ValueId constant : constants()) {
    ValueSlot& slot = values_[constant.index];
    if (!slot.readers.empty() || is_output(constant)) continue;
    names_.erase(slot.value.name);
    slot.alive = false;
  }
}

void Graph::erase_from(std::vector<ValueId>& list, ValueId erased) {
  const auto place = std::find(list.begin(), list.end(), erased);
  THIMBLE_CHECK(place != list.end() && users(erased).empty() && !is_output(erased),
                "an erased input or capture is unused");
  list.erase(place);
  names_.erase(value(erased).name);
  values_[erased.index].alive = false;
}

void Graph::erase_input(ValueId input) { erase_from(inputs_, input); }
void Graph::erase_capture(ValueId capture) { erase_from(captures_, capture); }

void Graph::replace_uses(ValueId from, ValueId to) {
  if (from == to) return;
  std::vector<NodeId>& readers = values_[from.index].readers;
  for (const NodeId id : readers) {
    std::vector<ValueId>& inputs = nodes_[id.index].node.inputs;
    std::replace(inputs.begin(), inputs.end(), from, to);
  }
  std::vector<NodeId>& others = values_[to.index].readers;
  others.insert(others.end(), readers.begin(), readers.end());
  readers.clear();
  std::replace(outputs_.begin(), outputs_.end(), from, to);
}

void Graph::rename(ValueId id, std::string name) {
  THIMBLE_CHECK(alive(id), "rename a value that is alive");
  Value& renamed = values_[id.index].value;
  if (renamed.name == name) return;
  names_.erase(renamed.name);
  renamed.name = unique_name(name);
  names_.emplace(renamed.name, id);
}

std::vector<NodeId> Graph::order() const { return order_; }

std::vector<ValueId> Graph::constants() const {
  std::vector<ValueId> out;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].alive && values_[i].value.weight.valid()) {
      out.push_back({static_cast<std::uint32_t>(i)});
    }
  }
  return out;
}

const Node& Graph::node(NodeId id) const {
  THIMBLE_CHECK(alive(id), "a node that is alive");
  return nodes_[id.index].node;
}

const Value& Graph::value(ValueId id) const {
  THIMBLE_CHECK(alive(id), "a value that is alive");
  return values_[id.index].value;
}

Value& Graph::value(ValueId id) { return const_cast<Value&>(std::as_const(*this).value(id)); }

bool Graph::alive(NodeId id) const { return id.index < nodes_.size() && nodes_[id.index].alive; }
bool Graph::alive(ValueId id) const { return id.index < values_.size() && values_[id.index].alive; }

std::optional<ValueId> Graph::find_value(std::string_view name) const {
  const auto found = names_.find(std::string(name));
  return found == names_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<NodeId> Graph::users(ValueId value) const {
  if (value.index >= values_.size()) return {};
  std::vector<NodeId> out = values_[value.index].readers;
  std::ranges::sort(out, {}, [&](NodeId id) { return nodes_[id.index].place; });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool Graph::is_output(ValueId value) const { return contains(outputs_, value); }

}  // namespace thimble::ir
