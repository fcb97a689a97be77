#include "formats/onnx/serialize.h"

#include <map>
#include <unordered_map>
#include <unordered_set>

#include "support/checked.h"

namespace thimble::formats::onnx {
namespace {

// Is a number of this type stored as one of another width than f32, for users that take f32?
bool is_stored(ir::DType type) { return ir::dtype_is_float(type) && type != ir::DType::kF32; }

class Serializer {
 public:
  Serializer(const ir::Model& model, const Layout& layout) : model_(model), layout_(layout) {}

  Expected<Serialized> run() {
    count_uses(model_.graph);
    for (const ir::Graph& body : model_.graphs) count_uses(body);
    THIMBLE_ASSIGN(out_.message, graph(model_.graph));
    return std::move(out_);
  }

 private:
  // What a weight is called, and in which graph it lies.
  struct Place {
    std::string name;       // of the initializer
    std::string use;        // of what the graph reads: the initializer, or its Cast to f32
    const ir::Graph* home;  // the only one that uses it, or the main graph
    bool as_f32 = false;
  };

  void count_uses(const ir::Graph& g) {
    for (std::uint32_t i = 0; i < g.value_capacity(); ++i) {
      if (g.alive(ir::ValueId{i})) names_.insert(g.value(ir::ValueId{i}).name);
    }
    for (const ir::ValueId id : g.constants()) {
      const ir::Value& value = g.value(id);
      const ir::Weight& weight = model_.weight(value.weight);
      const auto [place, is_new] = places_.try_emplace(value.weight);
      Place& p = place->second;
      if (!is_new) {
        p.home = p.home == &g ? p.home : &model_.graph;
        continue;
      }
      order_.push_back(value.weight);
      p.name = p.use = value.name;
      p.home = &g;
      p.as_f32 = is_stored(weight.dtype) && value.dtype == ir::DType::kF32;
      // An output of the model keeps its name.
      if (p.as_f32) (g.is_output(id) ? p.name : p.use).clear();
    }
  }

  std::string fresh(const std::string& wanted) {
    std::string name = wanted;
    for (int n = 1; !names_.insert(name).second; ++n) name = wanted + "." + std::to_string(n);
    return name;
  }

  void finish_names() {
    for (const ir::WeightId id : order_) {
      Place& p = places_.at(id);
      const std::string type(ir::dtype_name(model_.weight(id).dtype));
      if (p.use.empty()) p.use = fresh(p.name + "_f32");
      if (p.name.empty()) p.name = fresh(p.use + "_" + type);
    }
    named_ = true;
  }

  std::string name_of(const ir::Graph& g, ir::ValueId id) const {
    if (!id.valid()) return {};
    const ir::Value& value = g.value(id);
    return value.weight.valid() ? places_.at(value.weight).use : value.name;
  }

  // ONNX Runtime wants each node's name once.
  std::string node_name(const std::string& wanted) {
    const int uses = node_names_[wanted]++;
    return uses == 0 ? wanted : node_name(wanted + "." + std::to_string(uses));
  }

  Expected<Message> tensor(const ir::Weight& weight, const std::string& name) {
    if (!weight.encoding.is_dense()) {
      return unsupported("an encoded weight in ONNX").at_tensor(weight.name);
    }
    out_.versions.add_type(weight.dtype);
    Message t;
    for (const std::int64_t dim : weight.dims) t.integer(1, dim);
    t.number(2, static_cast<std::uint64_t>(weight.dtype));
    t.text(8, name);
    if (layout_.location.empty() || weight.byte_size() < layout_.smallest) {
      t.data(9, weight);
      return t;
    }
    offset_ = round_up(offset_, layout_.alignment);
    const auto pair = [&](std::string_view key, const std::string& value) {
      Message entry;
      entry.text(1, key);
      entry.text(2, value);
      t.message(13, entry);
    };
    pair("location", layout_.location);
    pair("offset", std::to_string(offset_));
    pair("length", std::to_string(weight.byte_size()));
    t.number(14, 1);
    offset_ += weight.byte_size();
    out_.external.push_back(&weight);
    return t;
  }

  static Message value_info(const std::string& name, const ir::Value& value) {
    Message info;
    info.text(1, name);
    if (value.dtype == ir::DType::kUndefined) return info;
    Message tensor_type;
    tensor_type.number(1, static_cast<std::uint64_t>(value.dtype));
    if (value.shape) {
      Message shape;
      for (const ir::Dim& dim : *value.shape) {
        Message one;
        const std::vector<std::string> symbols = dim.symbols();
        if (const auto constant = dim.constant()) {
          one.integer(1, *constant);
        } else if (symbols.size() == 1 && dim == ir::Dim::symbol(symbols[0])) {
          one.text(2, symbols[0]);
        }  // a sum or product has no name: left unknown
        shape.message(1, one);
      }
      tensor_type.message(2, shape);
    }
    Message type;
    type.message(1, tensor_type);
    info.message(2, type);
    return info;
  }

  Expected<Message> attribute(const ir::Attribute& a) {
    Message out;
    out.text(1, a.name);
    std::uint64_t type = 0;
    if (const auto* real = std::get_if<float>(&a.value)) {
      out.real(2, *real), type = 1;
    } else if (const auto* integer = std::get_if<std::int64_t>(&a.value)) {
      out.integer(3, *integer), type = 2;
    } else if (const auto* text = std::get_if<std::string>(&a.value)) {
      out.text(4, *text), type = 3;
    } else if (const auto* weight = std::get_if<ir::WeightId>(&a.value)) {
      THIMBLE_ASSIGN(const Message held,
                     tensor(model_.weight(*weight), model_.weight(*weight).name));
      out.message(5, held), type = 4;
    } else if (const auto* body = std::get_if<ir::GraphId>(&a.value)) {
      THIMBLE_ASSIGN(const Message inner, graph(model_.graphs[body->index]));
      out.message(6, inner), type = 5;
    } else if (const auto* reals = std::get_if<std::vector<float>>(&a.value)) {
      for (const float value : *reals) out.real(7, value);
      type = 6;
    } else if (const auto* integers = std::get_if<std::vector<std::int64_t>>(&a.value)) {
      for (const std::int64_t value : *integers) out.integer(8, value);
      type = 7;
    } else if (const auto* texts = std::get_if<std::vector<std::string>>(&a.value)) {
      for (const std::string& value : *texts) out.text(9, value);
      type = 8;
    }
    out.number(20, type);
    return out;
  }

  Expected<Message> node(const ir::Graph& g, const ir::Node& n) {
    if (n.domain.empty()) {
      THIMBLE_TRY(out_.versions.add(g, n));
    } else {
      out_.domains.insert(n.domain);
    }
    Message out;
    for (const ir::ValueId input : n.inputs) out.text(1, name_of(g, input));
    for (const ir::ValueId output : n.outputs) out.text(2, name_of(g, output));
    if (!n.name.empty()) out.text(3, node_name(n.name));
    out.text(4, n.op);
    for (const ir::Attribute& a : n.attributes) {
      THIMBLE_ASSIGN(const Message one, attribute(a));
      out.message(5, one);
    }
    if (!n.domain.empty()) out.text(7, n.domain);
    return out;
  }

  // A weight of another float type as the f32 that its users take.
  Expected<Message> cast(const Place& p, ir::DType from) {
    ir::Graph probe;
    ir::Node node;
    node.op = "Cast";
    node.inputs = {probe.add_input("x", from, ir::Shape{})};
    node.attributes = {{"to", std::int64_t{1}}};
    THIMBLE_TRY(out_.versions.add(probe, node));
    Message out;
    out.text(1, p.name);
    out.text(2, p.use);
    out.text(3, node_name(p.use));
    out.text(4, "Cast");
    THIMBLE_ASSIGN(const Message to, attribute(node.attributes[0]));
    out.message(5, to);
    return out;
  }

  Expected<Message> graph(const ir::Graph& g) {
    const bool main = &g == &model_.graph;
    if (!named_) finish_names();
    Message out;
    for (const ir::WeightId id : order_) {
      const Place& p = places_.at(id);
      if (p.home != &g || !p.as_f32) continue;
      THIMBLE_ASSIGN(const Message one, cast(p, model_.weight(id).dtype));
      out.message(1, one);
    }
    for (const ir::NodeId id : g.order()) {
      THIMBLE_ASSIGN(const Message one, node(g, g.node(id)));
      out.message(1, one);
    }
    out.text(2, g.name.empty() ? (main ? "main" : "body") : g.name);
    for (const ir::WeightId id : order_) {
      const Place& p = places_.at(id);
      if (p.home != &g) continue;
      THIMBLE_ASSIGN(const Message one, tensor(model_.weight(id), p.name));
      out.message(5, one);
    }
    for (const ir::ValueId id : g.inputs())
      out.message(11, value_info(name_of(g, id), g.value(id)));
    for (const ir::ValueId id : g.outputs()) {
      out.message(12, value_info(name_of(g, id), g.value(id)));
    }
    return out;
  }

  const ir::Model& model_;
  const Layout& layout_;
  Serialized out_;
  std::map<ir::WeightId, Place> places_;
  std::vector<ir::WeightId> order_;
  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, int> node_names_;
  std::uint64_t offset_ = 0;
  bool named_ = false;
};

}  // namespace

Expected<Serialized> serialize(const ir::Model& model, const Layout& layout) {
  return Serializer(model, layout).run();
}

}  // namespace thimble::formats::onnx
