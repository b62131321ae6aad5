#include "engine/preparation.h"

#include "base/utf8.h"
#include "inference/prefix_digests.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::engine {

namespace {

// Splitting this much text into tokens takes well under a tenth of a millisecond.
constexpr std::size_t kQuickTextBytes = 512;

/// What a request's template and format make of every choice.
struct Terms {
  std::unique_ptr<TokenConstraint> constraint;
  std::function<std::unique_ptr<ChatParser>()> make_parser;
  std::vector<std::string> stop;
};

Result<void> check_tokens(const Backend& backend, const std::string& field, std::span<const TokenId> tokens) {
  const std::uint32_t vocabulary = backend.facts().vocabulary_size;
  for (const TokenId token : tokens) {
    if (token >= 0 && static_cast<std::uint32_t>(token) < vocabulary) continue;
    return fail(invalid_field(field, fmt::format("{} has the token {}, but this model's tokens are 0 to {}",
                                                 field, token, vocabulary - 1)));
  }
  return {};
}

Result<void> check_fields(const Backend& backend, const GenerateRequest& work) {
  const BackendFacts& facts = backend.facts();
  if (work.n > facts.max_sequences) {
    return fail(invalid_field(
        "n",
        fmt::format("n, or best_of, must be at most {}, the sequences this server runs at a time, got {}",
                    facts.max_sequences, work.n)));
  }
  if (auto checked = check_tokens(backend, "stop_token_ids", work.stop.stop_tokens); !checked) return checked;
  std::vector<TokenId> biased;
  for (const auto& [token, bias] : work.sampling.logit_bias) biased.push_back(token);
  if (auto checked = check_tokens(backend, "logit_bias", biased); !checked) return checked;
  if (!work.resume.empty() && work.resume.size() != work.choices()) {
    return fail(invalid_field("resume.token_ids",
                              fmt::format("resume.token_ids must have a list for each of {} choices, got {}",
                                          work.choices(), work.resume.size())));
  }
  return {};
}

Result<void> check_length(const Backend& backend, const GenerateRequest& work, std::size_t tokens) {
  if (tokens == 0) return fail(invalid_field("prompt", "prompt is empty: there is nothing to continue"));
  const std::uint32_t context = backend.facts().context_length;
  const std::uint32_t answer = work.stop.max_tokens.value_or(1);
  if (tokens + answer <= context) return {};
  return fail(invalid_field(
      work.stop.max_tokens && tokens < context ? "max_tokens" : "prompt",
      fmt::format("this model's context is {} tokens; the prompt has {} and the answer may take {}: shorten "
                  "the prompt or lower max_tokens",
                  context, tokens, answer),
      "context_length_exceeded"));
}

/// Megabytes are not taken apart only to be told that they are too long.
Result<void> check_bytes(const Backend& backend, std::size_t bytes) {
  const BackendFacts& facts = backend.facts();
  const std::uint64_t most = std::uint64_t{facts.context_length} * facts.longest_token;
  if (facts.longest_token == 0 || bytes <= most) return {};
  return fail(invalid_field(
      "prompt",
      fmt::format(
          "this model's context is {} tokens; the prompt's {} bytes are {} or more: shorten the prompt",
          facts.context_length, bytes, bytes / facts.longest_token),
      "context_length_exceeded"));
}

/// A template takes 60 us for each message, and a token at least.
Result<void> check_messages(const Backend& backend, std::span<const ChatMessage> messages) {
  if (messages.size() <= backend.facts().context_length) return {};
  return fail(invalid_field(
      "messages",
      fmt::format("this model's context is {} tokens, fewer than these {} messages: leave some out",
                  backend.facts().context_length, messages.size()),
      "context_length_exceeded"));
}

std::size_t bytes_of(std::span<const ChatMessage> messages) {
  std::size_t bytes = 0;
  for (const ChatMessage& message : messages) bytes += message.content.size();
  return bytes;
}

std::string text_of(const Backend& backend, const Prompt& prompt, std::span<const TokenId> tokens) {
  if (const auto* text = std::get_if<TextPrompt>(&prompt)) return text->text;
  std::string bytes;
  for (const TokenId token : tokens) bytes += backend.piece(token);
  std::string text;
  append_valid_utf8(text, bytes);
  return text;
}

Result<Preparation::PromptTokens> prepare_prompt(const Backend& backend, const GenerateRequest& work,
                                                 const Prompt& prompt, Terms& terms) {
  Preparation::PromptTokens prepared;
  Result<std::vector<TokenId>> tokens;
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) {
    if (auto checked = check_messages(backend, chat->messages); !checked) return fail(checked.error());
    if (auto checked = check_bytes(backend, bytes_of(chat->messages)); !checked) return fail(checked.error());
    auto rendered = backend.render_chat(*chat, work.format);
    if (!rendered) return fail(rendered.error());
    if (auto checked = check_bytes(backend, rendered->text.size()); !checked) return fail(checked.error());
    // A template writes BOS itself, where its model wants one; twice would change the answer.
    tokens = backend.tokenize(rendered->text, false, true);
    terms = {.constraint = std::move(rendered->constraint),
             .make_parser = std::move(rendered->make_parser),
             .stop = std::move(rendered->stop)};
  } else {
    if (const auto* text = std::get_if<TextPrompt>(&prompt)) {
      if (auto checked = check_bytes(backend, text->text.size()); !checked) return fail(checked.error());
    }
    tokens = tokens_of(backend, prompt, true);
  }
  if (!tokens) return fail(tokens.error());
  if (auto checked = check_length(backend, work, tokens->size()); !checked) return fail(checked.error());
  if (work.echo) prepared.echo = text_of(backend, prompt, *tokens);
  prepared.tokens = std::move(*tokens);
  return prepared;
}

/// Brings a choice to where its tokens leave it, as if they had just been chosen; its text so far is
/// returned.
Result<std::string> replay(const Backend& backend, std::span<const TokenId> tokens, ChoiceStart& choice) {
  if (auto checked = check_tokens(backend, "resume.token_ids", tokens); !checked)
    return fail(checked.error());
  std::string text;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (choice.finished) {
      return fail(
          invalid_field("resume.token_ids",
                        fmt::format("resume.token_ids goes on behind the end of the answer, at {}", i)));
    }
    if (choice.constraint) {
      if (!choice.constraint->allows(tokens[i])) {
        return fail(invalid_field(
            "resume.token_ids",
            fmt::format("resume.token_ids has at {} what the requested format does not allow", i)));
      }
      choice.constraint->accept(tokens[i]);
    }
    choice.finished = choice.text.add(tokens[i], text);
  }
  choice.tokens.assign(tokens.begin(), tokens.end());
  return text;
}

}  // namespace

Result<std::vector<TokenId>> tokens_of(const Backend& backend, const Prompt& prompt, bool add_special) {
  if (const auto* text = std::get_if<TextPrompt>(&prompt))
    return backend.tokenize(text->text, add_special, false);
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) {
    if (auto checked = check_messages(backend, chat->messages); !checked) return fail(checked.error());
    const auto rendered = backend.render_chat(*chat, {});
    if (!rendered) return fail(rendered.error());
    return backend.tokenize(rendered->text, false, true);
  }
  const auto& tokens = std::get<TokenPrompt>(prompt).tokens;
  if (auto checked = check_tokens(backend, "prompt", tokens); !checked) return fail(checked.error());
  return tokens;
}

bool is_quick(const GenerateRequest& work) {
  if (work.format.kind != OutputFormat::Kind::kText || !work.resume.empty()) return false;
  std::size_t bytes = 0;
  for (const Prompt& prompt : work.prompts) {
    if (std::holds_alternative<ChatPrompt>(prompt)) return false;
    if (const auto* text = std::get_if<TextPrompt>(&prompt)) bytes += text->text.size();
  }
  return bytes <= kQuickTextBytes;
}

Result<Preparation> prepare(const Backend& backend, const GenerateRequest& work) {
  if (auto checked = check_fields(backend, work); !checked) return fail(checked.error());
  Preparation prepared;
  Terms terms;
  for (const Prompt& prompt : work.prompts) {
    auto tokens = prepare_prompt(backend, work, prompt, terms);
    if (!tokens) return fail(tokens.error());
    prepared.prompts.push_back(std::move(*tokens));
  }
  if (!std::holds_alternative<ChatPrompt>(work.prompts.front()) &&
      work.format.kind != OutputFormat::Kind::kText) {
    auto constraint = backend.make_constraint(work.format);
    if (!constraint) return fail(constraint.error());
    terms.constraint = std::move(*constraint);
  }
  terms.stop.insert(terms.stop.begin(), work.stop.stop.begin(), work.stop.stop.end());
  for (std::uint32_t i = 0; i < work.choices(); ++i) {
    const Preparation::PromptTokens& prompt = prepared.prompts[i / work.n];
    const std::uint32_t room =
        backend.facts().context_length - static_cast<std::uint32_t>(prompt.tokens.size());
    ChoiceStart choice{
        .tokens = {},
        .text = AnswerText(backend, {.stop = &work.stop,
                                     .strings = terms.stop,
                                     .max_tokens = std::min(work.stop.max_tokens.value_or(room), room),
                                     .constrained = terms.constraint != nullptr,
                                     .offset = prompt.echo.size()}),
        .constraint = terms.constraint ? terms.constraint->clone() : nullptr,
        .finished = std::nullopt};
    if (terms.make_parser) prepared.parsers.push_back(terms.make_parser());
    if (!work.resume.empty()) {
      const auto text = replay(backend, work.resume[i], choice);
      if (!text) return fail(text.error());
      // What it says now has been sent already.
      TokenEvent sent{.text = *text};
      if (terms.make_parser && !text->empty()) prepared.parsers.back()->parse(sent);
    }
    prepared.choices.push_back(std::move(choice));
  }
  prepared.landmarks = prefix_landmarks(prefix_digests(work));
  return prepared;
}

}  // namespace autoglm::engine
