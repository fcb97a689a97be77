// rotate: multiplies the residual stream by a random Hadamard rotation that is folded into the
// weights that write and read it (QuaRot, Ashkboos et al. 2024, arXiv 2404.00456; the R1 and R2 of
// SpinQuant, Liu et al. 2024, arXiv 2405.16406), so that no channel holds outliers. The model
// computes what it did: gains of norms are folded into products first, and so are the mean and
// bias of LayerNormalization.

#include <map>
#include <set>

#include "passes/quantize/compensation.h"
#include "passes/quantize/findings.h"
#include "passes/quantize/matrix.h"
#include "passes/quantize/residual_stream.h"
#include "passes/quantize/rewritten.h"
#include "passes/quantize/rotation_nodes.h"
#include "passes/quantize/scaling.h"
#include "passes/registrations.h"

namespace thimble::passes {
namespace {

using pass::FindingKind;

using Rotation = std::shared_ptr<const linalg::HadamardRotation>;

std::string mixes(const linalg::HadamardRotation& rotation) {
  return std::to_string(rotation.size()) + " of " + std::to_string(rotation.width()) + " channels";
}

// What happened to each weight, in words, for the report.
using Notes = std::map<std::uint32_t, std::string>;
void note(Notes& notes, ir::WeightId weight, const std::string& text) {
  std::string& words = notes[weight.index];
  if (words.find(text) == std::string::npos) words += (words.empty() ? "" : ", ") + text;
}

// Folds the rotation of one residual stream into the model.
class StreamRotator {
 public:
  struct Choices {
    bool untie;  // a tied head gets a weight of its own
    bool look;   // at values; else sizes alone are right
  };
  StreamRotator(ir::Model& model, const ResidualStream& stream, Rotation rotation,
                const Choices& choices, Notes& notes)
      : model_(model),
        stream_(stream),
        rotation_(std::move(rotation)),
        nodes_(model, *rotation_),
        untie_(choices.untie),
        look_(choices.look),
        notes_(notes) {}

  Status run() {
    for (const NormReader& reader : stream_.norms) THIMBLE_TRY(read_through(reader));
    for (const ir::Linear& linear : stream_.direct) rotate_inputs(linear);
    for (const ir::WeightId table : stream_.tables) rotate_table(table);
    std::set<std::uint32_t> tables;
    for (const ir::NodeId gather : stream_.tied_gathers) {
      const ir::ValueId table = model_.graph.node(gather).inputs[0];
      const ir::WeightId weight = model_.graph.value(table).weight;
      if (!untie_) {
        nodes_.after(model_.graph.node(gather).outputs[0], stream_.centred);
      } else if (tables.insert(weight.index).second) {
        rotate_table(weight);
      }
    }
    for (const ir::Linear& linear : stream_.products) {
      rotate_weight(model_.weight(linear.weight),
                    {.rotation = rotation_, .axis = 1 - linear.axis, .centre = stream_.centred});
      note(notes_, linear.weight, "outputs rotated (" + mixes(*rotation_) + ")");
    }
    for (const StreamConstant& constant : stream_.constants) {
      ir::Weight& weight = model_.weight(own_constant(model_, constant.node, constant.input));
      const int last = static_cast<int>(weight.dims.size()) - 1;
      rotate_weight(weight, {.rotation = rotation_, .axis = last, .centre = stream_.centred});
    }
    for (const ir::ValueId value : stream_.norm_results) nodes_.after(value, stream_.centred);
    return ok();
  }

  const RotationNodes& nodes() const { return nodes_; }
  std::uint64_t untied_bytes() const { return untied_bytes_; }

 private:
  void rotate_table(ir::WeightId table) {
    rotate_weight(model_.weight(table),
                  {.rotation = rotation_, .axis = 1, .centre = stream_.centred});
    note(notes_, table, "rows rotated (" + mixes(*rotation_) + ")");
  }
  void rotate_inputs(const ir::Linear& linear) {
    rotate_weight(model_.weight(linear.weight), {.rotation = rotation_, .axis = linear.axis});
    note(notes_, linear.weight, "inputs rotated (" + mixes(*rotation_) + ")");
  }

  // The norm's vector, or `fallback` everywhere where values aren't looked at.
  Expected<std::vector<float>> vector_of(ir::NodeId node, std::size_t input, float fallback) const {
    const ir::ValueId value = model_.graph.node(node).inputs[input];
    const ir::Weight& weight = model_.weight(model_.graph.value(value).weight);
    if (look_ && weight.source != nullptr) return ir::read_floats(weight);
    return std::vector<float>(static_cast<std::size_t>(stream_.width), fallback);
  }

  // The norm loses its gain, bias and mean; what reads it takes them up.
  Status read_through(const NormReader& reader) {
    const bool biased = model_.graph.node(reader.norm).inputs.size() > 2 &&
                        model_.graph.node(reader.norm).inputs[2].valid();
    THIMBLE_ASSIGN(const std::vector<float> gain, vector_of(reader.norm, 1, 1.0f));
    std::vector<float> bias;
    if (biased) {
      THIMBLE_ASSIGN(bias, vector_of(reader.norm, 2, 0.0f));
    }
    strip(reader.norm);
    if (reader.tied && !untie_) {
      std::map<ir::ValueId, std::vector<ir::NodeId>> readers;
      for (const ir::Linear& linear : reader.products)
        readers[linear.input].push_back(linear.product);
      for (const auto& [value, products] : readers) nodes_.before(value, products, gain, bias);
      return ok();
    }
    for (ir::Linear linear : reader.products) {
      if (reader.tied) untie(linear);
      if (!bias.empty()) THIMBLE_TRY(add_bias(linear, bias));
      scale_weight(model_.weight(linear.weight), linear.axis,
                   std::vector<double>(gain.begin(), gain.end()));
      rotate_inputs(linear);
    }
    return ok();
  }

  void strip(ir::NodeId norm) {
    const std::vector<float> ones(static_cast<std::size_t>(stream_.width), 1.0f);
    if (!ones_.valid()) {
      ones_ = model_.constant(ir::make_dense("rotation." + std::to_string(stream_.width) + ".ones",
                                             {stream_.width}, ones));
    }
    model_.graph.edit(norm, [&](ir::Node& node) {
      node.op = "RMSNormalization";
      node.inputs = {node.inputs[0], ones_};
      std::erase_if(node.attributes, [](const ir::Attribute& attribute) {
        return attribute.name != "axis" && attribute.name != "epsilon";
      });
    });
  }

  // A head of its own for what multiplied by the embedding.
  void untie(ir::Linear& linear) {
    ir::Weight head = model_.weight(linear.weight);
    head.name = "lm_head.weight";
    head.source_parameters = 0;
    head.dtype = ir::DType::kF32;
    untied_bytes_ += head.byte_size();
    head.dtype = model_.weight(linear.weight).dtype;
    const ir::ValueId value = model_.constant(std::move(head));
    const ir::NodeId reader = linear.transpose.valid() ? linear.transpose : linear.product;
    model_.graph.set_input(reader, linear.transpose.valid() ? 0 : 1, value);
    linear.weight_value = value;
    linear.weight = model_.graph.value(value).weight;
  }

  // W b, [rows], in f64.
  Expected<std::vector<float>> shift_of(const ir::Linear& linear,
                                        std::span<const float> bias) const {
    std::vector<float> shift(static_cast<std::size_t>(linear.rows));
    const ir::Weight& weight = model_.weight(linear.weight);
    if (!look_ || weight.source == nullptr) return shift;
    THIMBLE_ASSIGN(const std::vector<float> w, read_matrix(weight, linear.axis));
    weight.source->release(0, weight.rows());
    for (std::size_t n = 0; n < shift.size(); ++n) {
      double sum = 0;
      for (std::size_t k = 0; k < bias.size(); ++k)
        sum += static_cast<double>(w[n * bias.size() + k]) * bias[k];
      shift[n] = static_cast<float>(sum);
    }
    return shift;
  }

  Status add_bias(const ir::Linear& linear, std::span<const float> bias) {
    THIMBLE_ASSIGN(std::vector<float> shift, shift_of(linear, bias));
    ir::Weight& known = model_.weight(bias_of(model_, linear));
    if (look_ && known.source != nullptr) {
      THIMBLE_ASSIGN(const std::vector<float> before, ir::read_floats(known));
      for (std::size_t i = 0; i < shift.size(); ++i) shift[i] += before[i];
    }
    set_values(known, shift);
    return ok();
  }

  ir::Model& model_;
  const ResidualStream& stream_;
  Rotation rotation_;
  RotationNodes nodes_;
  bool untie_, look_;
  Notes& notes_;
  ir::ValueId ones_;
  std::uint64_t untied_bytes_ = 0;
};

class Rotate : public pass::Pass {
 public:
  Status configure(const pass::Options& options) override {
    residual_ = options.boolean("residual");
    heads_ = options.boolean("heads");
    untie_ = options.text("tied") == "untie";
    return ok();
  }

  Status run(ir::Model& model, pass::Context& context, pass::Report& report) override {
    Notes notes;
    if (heads_) rotate_heads(model, context, report.current(), notes);
    if (residual_) THIMBLE_TRY(rotate_residual(model, context, report.current(), notes));
    for (const auto& [weight, words] : notes) {
      report.current().decisions.push_back(decision_on(model.weight(ir::WeightId{weight}), words));
      report.current().changes += 1;
    }
    if (notes.empty() && report.current().findings.empty())
      report.current().findings.push_back(no_effect("nothing was rotated"));
    return notes.empty() ? ok() : ir::infer_shapes(model);
  }

 private:
  // Values of each head and what reads them; heads share one rotation.
  static void rotate_heads(ir::Model& model, const pass::Context& context, pass::PassReport& report,
                           Notes& notes) {
    for (const ScalingSite& site : find_scaling_sites(model)) {
      const ir::NodeId producer = model.graph.value(site.input).producer;
      if (!producer.valid() || model.graph.node(producer).op != "Attention") continue;
      if (!site.obstacle.empty()) {
        report.findings.push_back({FindingKind::kLeftAsIs, model.graph.node(producer).name, 0,
                                   "its heads aren't rotated: " + site.obstacle, ""});
        continue;
      }
      const std::int64_t kv_heads = model.graph.node(producer).integer("kv_num_heads", 1);
      const std::int64_t size = site.factors / kv_heads;
      const auto rotation =
          std::make_shared<const linalg::HadamardRotation>(size, context.seed, "heads");
      for (const Absorber& absorber : site.absorbers) {
        const ir::WeightId id = own_constant(model, absorber.node, absorber.input);
        rotate_weight(model.weight(id), {.rotation = rotation,
                                         .axis = absorber.axis,
                                         .offset = absorber.offset,
                                         .repeats = kv_heads});
        if (model.weight(id).element_count() > site.factors)
          note(notes, id, "values of heads rotated (" + mixes(*rotation) + ")");
      }
      for (const ir::WeightUse& use : site.products) {
        rotate_weight(model.weight(use.weight),
                      {.rotation = rotation, .axis = use.axis, .repeats = site.width / size});
        note(notes, use.weight, "inputs rotated head by head (" + mixes(*rotation) + ")");
      }
    }
  }

  Status rotate_residual(ir::Model& model, const pass::Context& context, pass::PassReport& report,
                         Notes& notes) const {
    for (const ResidualStream& stream : find_residual_streams(model)) {
      const std::string name = model.graph.value(stream.values.front()).name;
      if (!stream.obstacle.empty()) {
        report.findings.push_back({FindingKind::kLeftAsIs, name, 0,
                                   "the residual stream from it isn't rotated: " + stream.obstacle,
                                   ""});
        continue;
      }
      const auto rotation =
          std::make_shared<const linalg::HadamardRotation>(stream.width, context.seed, "residual");
      StreamRotator rotator(model, stream, rotation, {.untie = untie_, .look = !context.dry_run},
                            notes);
      THIMBLE_TRY(rotator.run());
      describe(model, stream, rotator, report);
    }
    return ok();
  }

  void describe(const ir::Model& model, const ResidualStream& stream, const StreamRotator& rotator,
                pass::PassReport& report) const {
    const std::string nodes = std::to_string(rotator.nodes().transforms()) +
                              " rotations run as nodes (" +
                              std::to_string(rotator.nodes().constant_bytes()) + " bytes)";
    for (const ir::NodeId gather : stream.tied_gathers) {
      const ir::ValueId table = model.graph.node(gather).inputs[0];
      const ir::Weight& weight = model.weight(model.graph.value(table).weight);
      const std::string why =
          untie_ ? "untied: " + std::to_string(rotator.untied_bytes()) + " bytes more in f32"
                 : "tied, so kept as it is; " + nodes;
      report.decisions.push_back(decision_on(weight, why));
      report.decisions.back().kept = !untie_;
    }
    for (const ir::ValueId result : stream.norm_results) {
      const ir::NodeId norm = model.graph.value(result).producer;
      const ir::ValueId gain = model.graph.node(norm).inputs[1];
      report.decisions.push_back(
          kept(model.weight(model.graph.value(gain).weight),
               "its norm writes the residual stream, so the gain stays; " + nodes));
    }
  }

  bool residual_ = true, heads_ = true, untie_ = false;
};

}  // namespace

pass::Registration rotate() {
  return {{.name = "rotate",
           .summary = "Spread outliers by Hadamard rotations, folded into the weights",
           .kind = pass::Kind::kRewrite,
           .options = {{.name = "residual",
                        .type = pass::OptionType::kBool,
                        .fallback = "true",
                        .help = "rotate the residual stream"},
                       {.name = "heads",
                        .type = pass::OptionType::kBool,
                        .fallback = "true",
                        .help = "rotate the values of each attention head"},
                       {.name = "tied",
                        .type = pass::OptionType::kWord,
                        .fallback = "keep",
                        .help = "an embedding that is the head too: rotate by nodes around it, or "
                                "give the head its own weight",
                        .words = {"keep", "untie"}}}},
          [] { return std::unique_ptr<pass::Pass>(new Rotate); }};
}

}  // namespace thimble::passes
