#include "tools/thimble/generation.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <iostream>

#include <nlohmann/json.hpp>

#include "eval/embeddings.h"
#include "report/json.h"
#include "support/system.h"
#include "text/chat_template.h"
#include "tokenizer/chat.h"
#include "tools/thimble/open.h"
#include "tools/thimble/pipeline.h"

namespace thimble::cli {
namespace {

// Holds text back while it could still be the start of a stop string.
class StopFilter {
 public:
  explicit StopFilter(const std::vector<std::string>& stops) : stops_(stops) {}

  // Returns what is safe to print; `stopped()` turns true when a stop string is complete.
  std::string push(const std::string& text) {
    held_ += text;
    for (const std::string& stop : stops_) {
      if (const auto at = held_.find(stop); at != std::string::npos) {
        stopped_ = true;
        return held_.substr(0, at);
      }
    }
    std::size_t keep = 0;
    for (const std::string& stop : stops_) {
      for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
        if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) keep = n;
      }
    }
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, out.size());
    return out;
  }
  std::string rest() { return stopped_ ? std::string() : std::move(held_); }
  bool stopped() const { return stopped_; }

 private:
  const std::vector<std::string>& stops_;
  std::string held_;
  bool stopped_ = false;
};

runtime::SamplingOptions sampling(const GenerationChoices& choices,
                                  const program::Generation& defaults) {
  runtime::SamplingOptions options;
  options.temperature = choices.temperature >= 0 ? choices.temperature : 0.0f;
  options.top_k = choices.top_k >= 0 ? choices.top_k : std::max<std::int64_t>(defaults.top_k, 0);
  options.top_p = choices.top_p >= 0 ? choices.top_p : defaults.top_p >= 0 ? defaults.top_p : 1.0f;
  options.min_p = choices.min_p;
  options.repetition_penalty = choices.repetition_penalty >= 0   ? choices.repetition_penalty
                               : defaults.repetition_penalty > 0 ? defaults.repetition_penalty
                                                                 : 1.0f;
  options.seed = choices.seed;
  return options;
}

// Why a text ended, as JSON says it.
enum class Ended { kEndToken, kStopText, kTokens, kContext, kInterrupted };

const char* name_of(Ended ended) {
  switch (ended) {
    case Ended::kEndToken:
      return "end_token";
    case Ended::kStopText:
      return "stop_text";
    case Ended::kTokens:
      return "tokens";
    case Ended::kContext:
      return "context";
    case Ended::kInterrupted:
      return "interrupted";
  }
  return "";
}

struct Reply {
  std::string text;
  std::int64_t tokens = 0;            // written
  Ended ended = Ended::kInterrupted;  // unless something else comes before
};

class Generator {
 public:
  Generator(const program::Bundle& bundle, const tokenizer::Tokenizer& tokenizer,
            const GenerationChoices& choices, Environment& environment)
      : bundle_(bundle),
        tokenizer_(tokenizer),
        choices_(choices),
        environment_(environment),
        sampler_(sampling(choices, bundle.generation)) {}

  Status start() {
    runtime::SessionOptions options;
    options.max_context = choices_.context;
    THIMBLE_TRY(set_cache(choices_.cache, options));
    THIMBLE_ASSIGN(decoder_, runtime::Decoder::create(bundle_, environment_.pool, options));
    return ok();
  }

  // Feeds what the cache doesn't hold of the prompt's tokens, all of the text so far, and prints
  // the continuation as it comes.
  Expected<Reply> reply(const std::vector<std::int32_t>& prompt,
                        const std::vector<std::string>& stops, bool print) {
    if (prompt.empty())
      return invalid_argument("the prompt has no tokens").fix("give some text with -p");
    THIMBLE_TRY(check_room(prompt.size()));
    auto logits = read(prompt);
    if (!logits) return std::move(logits).error();
    sampler_.forget();
    sampler_.accept(prompt);
    tokenizer::StreamDecoder stream(tokenizer_, prompt.back());
    StopFilter filter(stops);
    Reply reply;
    auto emit = [&](const std::string& piece) {
      reply.text += piece;
      if (print) std::fwrite(piece.data(), 1, piece.size(), stdout), std::fflush(stdout);
    };
    note_length(prompt.size());
    // What the context has room for: the last token needs no position.
    const std::int64_t room = decoder_->capacity() - std::ssize(prompt) + 1;
    while (!system::interrupted()) {
      const std::int32_t token = sampler_.sample(*logits);
      sampler_.accept(std::span(&token, 1));
      if (!choices_.ignore_eos && runtime::ends_text(bundle_, &tokenizer_, token)) {
        reply.ended = Ended::kEndToken;
        break;
      }
      emit(filter.push(stream.push(token)));
      ++reply.tokens;
      if (reply.tokens == room) reply.ended = Ended::kContext;
      if (reply.tokens == choices_.tokens) reply.ended = Ended::kTokens;
      if (filter.stopped()) reply.ended = Ended::kStopText;
      if (reply.ended != Ended::kInterrupted) break;
      logits = decoder_->feed(std::span(&token, 1));
      held_.push_back(token);
      // What there is of the text is given when an interrupt ends it.
      if (!logits && !system::interrupted()) return std::move(logits).error();
    }
    emit(filter.push(stream.finish()));
    emit(filter.rest());
    note_length(held_.size());
    return reply;
  }

  // Says where a text ends that would have gone on.
  void note_end(const Reply& reply) {
    if (reply.ended != Ended::kContext || environment_.globals.quiet) return;
    const std::string room = std::to_string(decoder_->capacity());
    const bool learnt = decoder_->capacity() == runtime::learnt_positions(bundle_.program);
    environment_.progress.message(
        learnt ? "note: the text ends at the " + room + " positions that the model has learnt"
               : "note: the context of " + room + " positions is full; --context N allows more");
  }

 private:
  Status check_room(std::size_t tokens) const {
    const std::int64_t room = decoder_->capacity();
    if (static_cast<std::int64_t>(tokens) <= room) return ok();
    const bool all = room == runtime::learnt_positions(bundle_.program);
    return invalid_argument("the prompt has " + std::to_string(tokens) + " tokens, " +
                            (all ? "the model positions" : "the context room") + " for " +
                            std::to_string(room))
        .fix(all ? "shorten it" : "shorten it, or allow more with --context");
  }

  // Says once that the text has grown longer than those that the model was trained on.
  void note_length(std::size_t tokens) {
    const std::int64_t trained = bundle_.program.max_context;
    if (said_long_ || trained == 0 || static_cast<std::int64_t>(tokens) <= trained) return;
    said_long_ = true;
    if (environment_.globals.quiet) return;
    environment_.progress.message("warning: the text has " + std::to_string(tokens) +
                                  " tokens; the model was trained on " + std::to_string(trained) +
                                  " at most");
  }

  // Feeds the prompt from where it leaves what the cache holds: an answer that was cut short is
  // there in part, and a template may write one differently from how it came.
  Expected<std::span<const float>> read(const std::vector<std::int32_t>& prompt) {
    const auto differ =
        std::mismatch(held_.begin(), held_.end(), prompt.begin(), prompt.end() - 1).second;
    auto same = static_cast<std::size_t>(differ - prompt.begin());
    if (same < held_.size() && !decoder_->truncate(static_cast<std::int64_t>(same))) {
      decoder_->reset();
      same = 0;
    }
    held_ = prompt;
    const std::span<const std::int32_t> fresh = std::span(prompt).subspan(same);
    environment_.progress.begin("reading the prompt", static_cast<double>(fresh.size()), "tokens");
    auto logits = decoder_->feed(fresh, [&](std::int64_t count) {
      environment_.progress.advance(static_cast<double>(count));
    });
    environment_.progress.end();
    return logits;
  }

  const program::Bundle& bundle_;
  const tokenizer::Tokenizer& tokenizer_;
  const GenerationChoices& choices_;
  Environment& environment_;
  runtime::Sampler sampler_;
  std::unique_ptr<runtime::Decoder> decoder_;
  std::vector<std::int32_t> held_;  // by the cache
  bool said_long_ = false;
};

// The end of a text that was printed as it came, or with `json` all of it.
void finish(const Reply& reply, Generator& generator, bool json) {
  if (!json) std::printf("\n"), std::fflush(stdout);
  generator.note_end(reply);
  if (!json) return;
  report::Json out = report::document("run");
  out["text"] = reply.text;
  out["tokens"] = reply.tokens;
  out["stop_reason"] = name_of(reply.ended);
  out["peak_rss_bytes"] = system::peak_rss_bytes();
  report::print(out);
}

// With `json` a document a turn.
Expected<int> chat(Generator& generator, const program::Bundle& bundle,
                   const tokenizer::Tokenizer& tokenizer, const GenerationChoices& choices,
                   bool json) {
  const text::ChatTemplate format = text::recognise(bundle.chat_template);
  if (format.format == tokenizer::ChatFormat::kNone) {
    return unsupported(bundle.chat_template.empty()
                           ? "the model has no chat template"
                           : "the model's chat template is of no form that is known")
        .fix("leave --chat out and write the prompt yourself with -p");
  }
  std::vector<tokenizer::Message> messages;
  const std::string system = choices.system.empty() ? format.default_system : choices.system;
  if (!system.empty()) messages.push_back({"system", system});
  auto turn = [&](const std::string& user) -> Status {
    messages.push_back({"user", user});
    const auto prompt = tokenizer.encode(tokenizer::render_prompt(format.format, messages),
                                         {.add_special = true, .parse_special = true});
    THIMBLE_ASSIGN(const Reply answer, generator.reply(prompt, choices.stop, !json));
    finish(answer, generator, json);
    messages.push_back({"assistant", answer.text});
    return ok();
  };
  if (!choices.prompt.empty()) {
    THIMBLE_TRY(turn(choices.prompt));
    return 0;
  }
  for (std::string line; std::fprintf(stderr, "> "), std::getline(std::cin, line);) {
    if (line.empty()) continue;
    THIMBLE_TRY(turn(line));
    if (system::interrupted()) break;
  }
  return 0;
}

// The double whose shortest decimal is that of the float: 0.1, not 0.10000000149011612.
double as_written(float value) {
  char text[32];
  const auto written = std::to_chars(text, text + sizeof text, value);
  double wide = 0;
  std::from_chars(text, written.ptr, wide);
  return wide;
}

}  // namespace

void add_cache_option(CLI::App& command, std::string& cache) {
  command
      .add_option("--kv", cache,
                  "The cache's type, or those of keys and values apart: f32, f16, int8 or int4")
      ->check([](const std::string& text) {
        runtime::SessionOptions options;
        const Status status = set_cache(text, options);
        return status ? std::string() : status.error().message;
      })
      ->type_name("TYPE[,TYPE]");
}

Status set_cache(const std::string& cache, runtime::SessionOptions& options) {
  if (cache.empty()) return ok();
  const std::size_t comma = cache.find(',');
  const auto keys = cache_named(cache.substr(0, comma));
  if (comma != std::string::npos) options.value_cache = cache_named(cache.substr(comma + 1));
  if (!keys || (comma != std::string::npos && !options.value_cache)) {
    return Error(ErrorCode::kUsage, "'" + cache +
                                        "' is no type of cache; types are f32, f16, int8 and "
                                        "int4, of keys and values apart as in int8,int4");
  }
  options.cache_from_program = false;
  options.cache = *keys;
  return ok();
}

Expected<int> generate(const program::Bundle& bundle, const std::string& path,
                       const GenerationChoices& choices, Environment& environment) {
  THIMBLE_ASSIGN(const auto tokenizer, tokenizer_of(bundle, path));
  Generator generator(bundle, tokenizer, choices, environment);
  THIMBLE_TRY(generator.start());
  const bool picks = choices.top_k > 0 || choices.top_p >= 0 || choices.min_p > 0;
  if (picks && choices.temperature <= 0 && !environment.globals.quiet)
    environment.progress.message(
        "note: --top-k, --top-p and --min-p do nothing without a --temperature above 0");
  if (choices.chat) return chat(generator, bundle, tokenizer, choices, environment.globals.json);
  if (!bundle.chat_template.empty() && !environment.globals.quiet) {
    environment.progress.message(
        "note: this is a chat model; --chat puts the prompt into its template");
  }
  const auto prompt = tokenizer.encode(choices.prompt);
  const bool json = environment.globals.json;
  THIMBLE_ASSIGN(const Reply reply, generator.reply(prompt, choices.stop, !json));
  finish(reply, generator, json);
  return system::interrupted() ? 128 + system::interrupt_signal() : 0;
}

Expected<int> embed_text(const program::Bundle& bundle, const std::string& path,
                         const std::string& text, Environment& environment) {
  THIMBLE_ASSIGN(const auto tokenizer, tokenizer_of(bundle, path));
  THIMBLE_ASSIGN(const auto session, runtime::Session::create(bundle, environment.pool));
  const eval::Sentence sentence = eval::sentence_of(tokenizer, text, bundle.program.max_context);
  if (sentence.cut) {
    environment.progress.message("note: the text was cut to " +
                                 std::to_string(sentence.tokens.size()) + " tokens");
  }
  THIMBLE_ASSIGN(const std::vector<float> embedding, eval::embed(*session, sentence.tokens));
  std::vector<double> values;
  for (const float x : embedding) values.push_back(as_written(x));
  if (environment.globals.json) {
    report::Json out = report::document("run");
    out["embedding"] = values;
    report::print(out);
  } else {
    std::printf("%s\n", nlohmann::json(values).dump().c_str());
  }
  return 0;
}

void add_generation_options(CLI::App& command, GenerationChoices& choices) {
  command.add_option("-p,--prompt", choices.prompt, "The text to continue");
  add_count(command, "-n,--tokens", choices.tokens, {1, 1 << 24},
            "Tokens to generate at most; 256 unless given");
  command.add_flag("--chat", choices.chat,
                   "Use the model's chat template; turns are read from stdin without -p");
  command.add_option("--system", choices.system, "The system message of a chat");
  command.add_option("--stop", choices.stop, "Stop before this text (may repeat)")
      ->check([](const std::string& text) {
        return text.empty() ? "every text begins with an empty one" : std::string();
      })
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command
      .add_option("--temperature", choices.temperature, "0 (the default) takes the likeliest token")
      ->check(between("0", "100"))
      ->type_name("T");
  command.add_option("--top-k", choices.top_k, "Sample among the K likeliest")
      ->check(whole_between(0, 1 << 24))
      ->type_name("K");
  command.add_option("--top-p", choices.top_p, "Sample among the likeliest that make up P")
      ->check(between("0", "1"))
      ->type_name("P");
  command
      .add_option("--min-p", choices.min_p,
                  "Leave out what is less likely than P times the likeliest")
      ->check(between("0", "1"))
      ->type_name("P");
  command
      .add_option("--repetition-penalty", choices.repetition_penalty,
                  "Above 1 discourages tokens seen before")
      ->check(between("0.01", "100"))
      ->type_name("X");
  command.add_option("--seed", choices.seed, "Of the sampling")
      ->check([](const std::string& text) {
        return text.starts_with('-') ? "a seed is a whole number, 0 or more" : std::string();
      })
      ->type_name("N");
  add_cache_option(command, choices.cache);
  add_count(command, "--context", choices.context, {1, 1 << 24}, "Positions to make room for");
  command.add_flag("--ignore-eos", choices.ignore_eos, "Go on after an end token");
}

}  // namespace thimble::cli
