#include "gateway/protocol/llama/completion_encoder.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/llama/error.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>

namespace autoglm::protocol::llama {

namespace {

struct AnswerOptions {
  std::vector<std::string> prompts;  ///< their texts
  std::uint32_t per_prompt = 1;
  bool stream = false;
  bool shows_tokens = false;
  bool times_tokens = false;
  std::vector<std::string> response_fields;
  std::string settings;

  std::size_t choices() const { return prompts.size() * per_prompt; }
};

void append_token(std::string& out, const TokenLogprob& token) {
  std::string text;
  append_valid_utf8(text, token.bytes);
  out += '{';
  // An endpoint of another protocol tells no ids.
  if (token.token >= 0) fmt::format_to(std::back_inserter(out), R"("id":{},)", token.token);
  out += R"("token":)";
  append_json_string(out, text);
  out += R"(,"bytes":[)";
  for (std::size_t i = 0; i < token.bytes.size(); ++i)
    fmt::format_to(std::back_inserter(out), "{}{}", i == 0 ? "" : ",",
                   static_cast<unsigned char>(token.bytes[i]));
  // As llama-server: JSON has no infinity.
  const double logprob = std::isfinite(token.logprob) ? token.logprob : -3.4028234663852886e+38;
  fmt::format_to(std::back_inserter(out), R"(],"logprob":{})", logprob);
}

void append_probabilities(std::string& out, const std::vector<GeneratedLogprob>& logprobs) {
  if (logprobs.empty()) return;
  out += R"(,"completion_probabilities":[)";
  for (const GeneratedLogprob& each : logprobs) {
    if (&each != &logprobs.front()) out += ',';
    append_token(out, each.chosen);
    out += R"(,"top_logprobs":[)";
    for (const TokenLogprob& top : each.top) {
      if (&top != &each.top.front()) out += ',';
      append_token(out, top);
      out += '}';
    }
    out += "]}";
  }
  out += ']';
}

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

/// Part of a rate that has no meaning while nothing was counted.
double rate(double count, double of) { return of > 0 ? count / of : 0; }

class CompletionEncoder final : public AnswerEncoder {
 public:
  CompletionEncoder(AnswerFacts facts, std::shared_ptr<const AnswerOptions> options)
      : facts_(std::move(facts)),
        shared_(std::move(options)),
        options_(*shared_),
        choices_(options_.choices()) {}

  std::string_view content_type() const override {
    return options_.stream ? "text/event-stream; charset=utf-8" : "application/json";
  }
  std::string_view keep_alive() const override {
    return options_.stream ? std::string_view(": keep-alive\n") : std::string_view();
  }

  void events(const EventBatch& batch, std::string& out) override {
    if (!first_token_ && !batch.events.empty()) first_token_ = facts_.elapsed();
    for (const TokenEvent& event : batch.events) {
      Choice& choice = choices_[event.choice];
      choice.text += event.text;
      choice.has_line |= event.text.contains('\n');
      choice.count += static_cast<std::uint32_t>(event.tokens.size());
      choice.pieces += event.text.empty() ? 0 : 1;
      choice.tokens.insert(choice.tokens.end(), event.tokens.begin(), event.tokens.end());
      choice.logprobs.insert(choice.logprobs.end(), event.logprobs.begin(), event.logprobs.end());
      if (event.finish) {
        choice.finish = event.finish;
        choice.stop = event.stop;
      }
      if (options_.stream && !choice.text.empty()) frame(event.choice, out);
    }
  }

  void end(const Usage& usage, std::string& out) override {
    const Duration total = facts_.elapsed();
    const bool list = !options_.stream && choices_.size() != 1;
    if (list) out += '[';
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      if (options_.stream) out += "data: ";
      if (list && i > 0) out += ',';
      out += chosen(document(i, usage, total));
      if (options_.stream) out += "\n\n";
    }
    if (list) out += ']';
  }

  void failure(const Error& error, std::string& out) override {
    if (!options_.stream) {
      out = error_body(error);
      return;
    }
    out += "data: " + error_body(error) + "\n\n";
  }

 private:
  struct Choice {
    std::string text;  // of a stream: since the last frame
    bool has_line = false;
    std::uint32_t count = 0;   // of tokens, by their ids
    std::uint32_t pieces = 0;  // texts that came; about as many, where an endpoint tells no ids
    std::vector<TokenId> tokens;
    std::vector<GeneratedLogprob> logprobs;
    std::optional<FinishReason> finish;
    std::string stop;  // the stop string that ended it

    std::uint32_t predicted() const { return count > 0 ? count : pieces; }
  };

  void append_said(std::size_t index, std::string& out) const {
    const Choice& choice = choices_[index];
    fmt::format_to(std::back_inserter(out), R"({{"index":{},"content":)", index);
    append_json_string(out, choice.text);
    const bool tokens = options_.shows_tokens || options_.stream;
    fmt::format_to(std::back_inserter(out), R"(,"tokens":[{}],"id_slot":-1)",
                   fmt::join(tokens ? choice.tokens : std::vector<TokenId>(), ","));
  }

  void frame(std::size_t index, std::string& out) {
    Choice& choice = choices_[index];
    out += "data: ";
    append_said(index, out);
    fmt::format_to(std::back_inserter(out), R"(,"stop":false,"tokens_predicted":{})", choice.predicted());
    append_probabilities(out, choice.logprobs);
    if (options_.times_tokens) append_timings(out, {}, choice.predicted(), facts_.elapsed());
    out += "}\n\n";
    choice.text.clear();
    choice.tokens.clear();
    choice.logprobs.clear();
  }

  std::string document(std::size_t index, const Usage& usage, Duration total) const {
    const Choice& choice = choices_[index];
    const bool only_usage_tells = choice.count == 0 && choices_.size() == 1;
    const std::uint32_t count = only_usage_tells ? usage.completion_tokens : choice.predicted();
    std::string out;
    append_said(index, out);
    out += R"(,"stop":true,"model":)";
    append_json_string(out, facts_.model);
    fmt::format_to(std::back_inserter(out), R"(,"tokens_predicted":{},"tokens_evaluated":{},)", count,
                   usage.prompt_tokens);
    out.append(R"("generation_settings":)").append(options_.settings).append(R"(,"prompt":)");
    // Once: choices must not multiply it.
    const bool first = index % options_.per_prompt == 0;
    append_json_string(out, first ? options_.prompts[index / options_.per_prompt] : std::string());
    const std::string_view stop = choice.finish == FinishReason::kLength ? "limit"
                                  : !choice.finish                       ? "none"
                                  : !choice.stop.empty()                 ? "word"
                                                                         : "eos";
    fmt::format_to(
        std::back_inserter(out),
        R"(,"has_new_line":{},"truncated":false,"stop_type":"{}","stopping_word":{},"tokens_cached":{})",
        choice.has_line, stop, json_string(stop == "word" ? choice.stop : std::string()),
        usage.cached_tokens);
    append_timings(out, usage, count, total);
    append_probabilities(out, choice.logprobs);
    return out + '}';
  }

  /// The prompt's time goes from the request to the first token, waiting included.
  void append_timings(std::string& out, const Usage& usage, std::uint32_t count, Duration total) const {
    const double read = usage.prompt_tokens - usage.cached_tokens;
    const double prompt_ms = milliseconds(first_token_.value_or(total));
    const double predicted_ms = milliseconds(total) - prompt_ms;
    fmt::format_to(
        std::back_inserter(out),
        R"(,"timings":{{"cache_n":{},"prompt_n":{},"prompt_ms":{},"prompt_per_token_ms":{},"prompt_per_second":{},)"
        R"("predicted_n":{},"predicted_ms":{},"predicted_per_token_ms":{},"predicted_per_second":{}}})",
        usage.cached_tokens, read, prompt_ms, rate(prompt_ms, read), rate(1000 * read, prompt_ms), count,
        predicted_ms, rate(predicted_ms, count), rate(1000.0 * count, predicted_ms));
  }

  /// The members that `response_fields` asks for; a path's last part is the member's name.
  std::string chosen(std::string document) const {
    if (options_.response_fields.empty()) return document;
    std::string out = "{";
    for (const std::string& path : options_.response_fields) {
      std::string_view value = document;
      std::string_view rest = path;
      std::string_view name;
      while (!value.empty()) {
        const std::size_t slash = rest.find('/');
        name = rest.substr(0, slash);
        value = value.starts_with('{') ? member_value(value, name) : std::string_view();
        if (slash == std::string_view::npos) break;
        rest.remove_prefix(slash + 1);
      }
      if (value.empty()) continue;
      if (out.size() > 1) out += ',';
      append_json_string(out, name);
      out.append(":").append(value);
    }
    return out + '}';
  }

  AnswerFacts facts_;
  std::shared_ptr<const AnswerOptions> shared_;
  const AnswerOptions& options_;
  std::vector<Choice> choices_;
  std::optional<Duration> first_token_;
};

/// What the request said of it, as far as it has a bound.
std::string settings_of(const Body& body) {
  const GenerateRequest& work = body.work;
  std::string out = fmt::format(R"({{"n_predict":{},"stream":{},"ignore_eos":{},"n_probs":{})",
                                work.stop.max_tokens ? std::int64_t{*work.stop.max_tokens} : std::int64_t{-1},
                                body.stream, work.stop.ignore_eos, work.top_logprobs.value_or(0));
  if (work.sampling.seed) out += fmt::format(R"(,"seed":{})", *work.sampling.seed);
  for_each_sampling_number([&](std::string_view name, auto member, auto, const SamplingRange&) {
    if (!(work.sampling.*member)) return;
    out += fmt::format(R"(,"{}":{})", name == "repetition_penalty" ? "repeat_penalty" : name,
                       *(work.sampling.*member));
  });
  return out + '}';
}

}  // namespace

DecodedCall make_call(Body body, std::uint32_t unknown_fields) {
  AnswerOptions options{.prompts = {},
                        .per_prompt = body.work.n,
                        .stream = body.stream,
                        .shows_tokens = body.shows_tokens || body.return_tokens,
                        .times_tokens = body.times_tokens,
                        .response_fields = std::move(body.response_fields),
                        .settings = settings_of(body)};
  for (const Prompt& prompt : body.work.prompts) {
    const auto* text = std::get_if<TextPrompt>(&prompt);
    options.prompts.push_back(text != nullptr ? text->text : std::string());
  }
  const bool stream = body.stream;
  return DecodedCall{.model = std::move(body.model),
                     .work = std::move(body.work),
                     .stream = stream,
                     .priority = body.priority,
                     .unknown_fields = unknown_fields,
                     .make_encoder = [shared = std::make_shared<const AnswerOptions>(std::move(options))](
                                         const AnswerFacts& facts) -> std::unique_ptr<AnswerEncoder> {
                       return std::make_unique<CompletionEncoder>(facts, shared);
                     }};
}

}  // namespace autoglm::protocol::llama
