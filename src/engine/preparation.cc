#include "engine/preparation.h"

#include "base/utf8.h"
#include "engine/prompt_tokens.h"
#include "inference/prefix_digests.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace autoglm::engine {

namespace {

// Splitting this much text into tokens takes well under a tenth of a millisecond.
constexpr std::size_t kQuickTextBytes = 512;
// This much takes tens of milliseconds with slow vocabularies.
constexpr std::size_t kLongTextBytes = std::size_t{32} << 10U;
constexpr std::size_t kChoiceBytes = 1024;                      // the choice, its text, its events in flight
constexpr std::size_t kMostStopBytes = std::size_t{16} << 10U;  // they are searched after every token
constexpr std::size_t kMostStopTokens = 1024;                   // they are searched after every token
constexpr std::size_t kMostTextBytes = std::size_t{1} << 20U;

/// What a request's template and format contribute to every choice.
struct Terms {
  std::unique_ptr<TokenConstraint> constraint;
  std::function<std::unique_ptr<ChatParser>()> make_parser;
  std::vector<std::string> stop;
};

Result<void> check_tokens(const Vocabulary& vocabulary, const std::string& field,
                          std::span<const TokenId> tokens) {
  const std::uint32_t size = vocabulary.facts().size;
  for (const TokenId token : tokens) {
    if (token >= 0 && static_cast<std::uint32_t>(token) < size) continue;
    return fail(invalid_field(field, fmt::format("{} has the token {}, but this model's tokens are 0 to {}",
                                                 field, token, size - 1)));
  }
  return {};
}

Result<void> check_fields(const ModelView& model, const GenerateRequest& work) {
  const Vocabulary& vocabulary = *model.vocabulary;
  if (work.refusal) return fail(*work.refusal);
  if (work.n > model.max_sequences) {
    return fail(invalid_field(
        "n",
        fmt::format("n, or best_of, must be at most {}, the sequences this server runs at a time, got {}",
                    model.max_sequences, work.n)));
  }
  if (work.stop.stop_tokens.size() > kMostStopTokens) {
    return fail(invalid_field("stop_token_ids", fmt::format("stop_token_ids takes at most {} tokens, got {}",
                                                            kMostStopTokens, work.stop.stop_tokens.size())));
  }
  std::size_t stop_bytes = 0;
  for (const std::string& text : work.stop.stop) stop_bytes += text.size();
  if (stop_bytes > kMostStopBytes) {
    return fail(invalid_field("stop", fmt::format("stop takes strings of at most {} bytes together, got {}",
                                                  kMostStopBytes, stop_bytes)));
  }
  if (auto checked = check_tokens(vocabulary, "stop_token_ids", work.stop.stop_tokens); !checked)
    return checked;
  std::vector<TokenId> biased;
  for (const auto& [token, bias] : work.sampling.logit_bias) biased.push_back(token);
  if (auto checked = check_tokens(vocabulary, "logit_bias", biased); !checked) return checked;
  if (auto checked = check_tokens(vocabulary, "allowed_token_ids", work.sampling.allowed_tokens); !checked)
    return checked;
  if (work.sampling.allowed_tokens.size() > vocabulary.facts().size)  // they are checked before every token
    return fail(invalid_field("allowed_token_ids", "allowed_token_ids names a token more than once"));
  if (!work.resume.empty() && work.resume.size() != work.choices()) {
    return fail(invalid_field("resume.token_ids",
                              fmt::format("resume.token_ids must have a list for each of {} choices, got {}",
                                          work.choices(), work.resume.size())));
  }
  return {};
}

/// Clients look for OpenAI's words here, to shorten the conversation or to ask another model.
Error too_long_for(std::uint32_t context, std::string field, std::string_view why) {
  return invalid_field(
      std::move(field),
      fmt::format("This model's maximum context length is {} tokens. However, {}.", context, why),
      "context_length_exceeded");
}

Result<void> check_length(std::uint32_t context, const GenerateRequest& work, std::size_t tokens) {
  if (tokens == 0) return fail(invalid_field("prompt", "prompt is empty: there is nothing to continue"));
  const std::uint32_t answer = work.stop.max_tokens.value_or(1);
  if (tokens + answer <= context) return {};
  const bool is_chat = std::holds_alternative<ChatPrompt>(work.prompts.front());
  return fail(too_long_for(
      context,
      work.stop.max_tokens && tokens < context ? "max_tokens"
      : is_chat                                ? "messages"
                                               : "prompt",
      fmt::format("you requested {} tokens ({} in the {}, {} in the completion). Please reduce the length of "
                  "the {} or max_tokens",
                  tokens + answer, tokens, is_chat ? "messages" : "prompt", answer,
                  is_chat ? "messages" : "prompt")));
}

/// Refuses a text that must be too long before megabytes of it are tokenized.
Result<void> check_bytes(const ModelView& model, std::size_t bytes) {
  const std::uint32_t longest_token = model.vocabulary->facts().longest_token;
  const std::uint64_t most = std::uint64_t{model.context_length} * longest_token;
  if (longest_token == 0 || bytes <= most) return {};
  return fail(too_long_for(
      model.context_length, "prompt",
      fmt::format("your prompt's {} bytes are {} tokens or more. Please reduce the length of the prompt",
                  bytes, bytes / longest_token)));
}

/// A template takes 60 us for each message, and a message is at least one token.
Result<void> check_messages(std::uint32_t context, std::span<const ChatMessage> messages) {
  if (messages.size() <= context) return {};
  return fail(too_long_for(
      context, "messages",
      fmt::format("your {} messages are more tokens than that. Please reduce the length of the messages",
                  messages.size())));
}

std::size_t bytes_of(std::span<const ChatMessage> messages) {
  std::size_t bytes = 0;
  for (const ChatMessage& message : messages) {
    bytes += message.content.size() + message.reasoning.size();
    for (const ToolCall& call : message.tool_calls) bytes += call.arguments.size();
  }
  return bytes;
}

std::size_t bytes_of(const Prompt& prompt) {
  if (const auto* text = std::get_if<TextPrompt>(&prompt)) return text->text.size() + text->suffix.size();
  const auto* chat = std::get_if<ChatPrompt>(&prompt);
  if (chat == nullptr) return 0;
  std::size_t bytes = bytes_of(chat->messages);
  for (const Tool& tool : chat->tools) bytes += tool.parameters.size() + tool.description.size();
  return bytes;
}

std::string text_of(const Vocabulary& vocabulary, const Prompt& prompt, std::span<const TokenId> tokens) {
  if (const auto* text = std::get_if<TextPrompt>(&prompt)) return text->text;
  std::string bytes;
  for (const TokenId token : tokens) bytes += vocabulary.piece(token);
  std::string text;
  append_valid_utf8(text, bytes);
  return text;
}

/// A text that will be truncated may be longer than the context.
Result<void> check_size(const ModelView& model, const GenerateRequest& work, const Prompt& prompt,
                        std::size_t bytes) {
  return work.truncation ? check_text(prompt) : check_bytes(model, bytes);
}

/// SentencePiece puts a space before a text; only the first token contains it, the text does not.
std::size_t unwritten_of(const Vocabulary& vocabulary, const std::string& text,
                         std::span<const TokenId> tokens) {
  std::size_t bytes = 0;
  bool begins_with_space = false;
  for (const TokenId token : tokens) {
    const std::string_view piece = vocabulary.piece(token);
    if (bytes == 0) begins_with_space = piece.starts_with(' ');
    bytes += piece.size();
  }
  return begins_with_space && bytes == text.size() + 1 ? 1 : 0;
}

Result<Preparation::PromptTokens> prepare_prompt(const ModelView& model, const GenerateRequest& work,
                                                 const Prompt& prompt, Terms& terms) {
  Preparation::PromptTokens prepared;
  Result<std::vector<TokenId>> tokens;
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) {
    if (auto checked = check_messages(model.context_length, chat->messages); !checked)
      return fail(checked.error());
    if (auto checked = check_size(model, work, prompt, bytes_of(chat->messages)); !checked)
      return fail(checked.error());
    auto rendered = model.render(*chat, work.format);
    if (!rendered) return fail(rendered.error());
    if (auto checked = check_size(model, work, prompt, rendered->text.size()); !checked)
      return fail(checked.error());
    // A template writes BOS itself if its model wants one; a second BOS would change the answer.
    tokens = chat_tokens(*model.vocabulary, *rendered, work.add_special.value_or(false));
    terms = {.constraint = std::move(rendered->constraint),
             .make_parser = std::move(rendered->make_parser),
             .stop = std::move(rendered->stop)};
  } else {
    if (std::holds_alternative<TextPrompt>(prompt)) {
      if (auto checked = check_size(model, work, prompt, bytes_of(prompt)); !checked)
        return fail(checked.error());
    }
    tokens = tokens_of(model, prompt, work.add_special.value_or(true));
  }
  if (!tokens) return fail(tokens.error());
  const bool cut = truncate_prompt(model.context_length, work, *tokens);
  if (auto checked = check_length(model.context_length, work, tokens->size()); !checked)
    return fail(checked.error());
  if (work.echo) {
    prepared.echo = text_of(*model.vocabulary, cut ? Prompt(TokenPrompt()) : prompt, *tokens);
    prepared.unwritten = unwritten_of(*model.vocabulary, prepared.echo, *tokens);
  }
  prepared.tokens = std::move(*tokens);
  return prepared;
}

/// Brings a choice to the state after `tokens`, as if they had just been chosen; returns its text so far.
Result<std::string> replay(const Vocabulary& vocabulary, std::span<const TokenId> tokens,
                           ChoiceStart& choice) {
  if (auto checked = check_tokens(vocabulary, "resume.token_ids", tokens); !checked)
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

/// The memory of a request until it has ended, computed before it is used: its prompts once, and for each
/// choice that runs at the same time a copy and a constraint. Resumed choices have these from the beginning.
Result<std::size_t> bytes_of(const ModelView& model, const GenerateRequest& work, const Preparation& prepared,
                             const Terms& terms) {
  std::size_t prompts = 0;
  std::size_t longest = 0;
  for (const auto& prompt : prepared.prompts) {
    const std::size_t bytes = prompt.tokens.size() * sizeof(TokenId);
    prompts += bytes + prompt.echo.size();
    longest = std::max(longest, bytes);
  }
  std::size_t resumed = 0;
  for (const auto& tokens : work.resume) resumed += tokens.size() * sizeof(TokenId);
  const std::size_t at_a_time =
      work.resume.empty() ? std::min(work.choices(), model.max_sequences) : work.choices();
  const std::size_t constraint = terms.constraint ? terms.constraint->bytes() : 0;
  // A prompt's first choice holds its copy while it waits, too.
  const std::size_t bytes =
      2 * prompts + resumed + constraint + work.choices() * kChoiceBytes + at_a_time * (longest + constraint);
  if (bytes <= kMostPreparedBytes) return bytes;
  const bool by_constraint = constraint > longest;
  return fail(invalid_field(
      by_constraint ? "n" : "prompt",
      fmt::format(
          "{} choices, {} at a time, with {} would take {} MiB; a request may take {} MiB: ask for fewer",
          work.choices(), at_a_time, by_constraint ? "a grammar of this size" : "prompts of this length",
          bytes >> 20U, kMostPreparedBytes >> 20U)));
}

Result<void> make_choices(const ModelView& model, const GenerateRequest& work, Terms terms,
                          Preparation& prepared) {
  const auto stop = std::make_shared<const std::vector<std::string>>(std::move(terms.stop));
  for (std::uint32_t i = 0; i < work.choices(); ++i) {
    const Preparation::PromptTokens& prompt = prepared.prompts[i / work.n];
    const std::uint32_t room = model.context_length - static_cast<std::uint32_t>(prompt.tokens.size());
    ChoiceStart choice{.tokens = {},
                       .text = AnswerText(*model.vocabulary,
                                          {.stop = &work.stop,
                                           .strings = stop,
                                           .max_tokens = std::min(work.stop.max_tokens.value_or(room), room),
                                           .constrained = terms.constraint != nullptr,
                                           .offset = prompt.echo.size()}),
                       .constraint = nullptr,
                       .finished = std::nullopt};
    if (terms.make_parser) prepared.parsers.push_back(terms.make_parser());
    if (!work.resume.empty()) {
      if (terms.constraint) choice.constraint = terms.constraint->clone();
      const auto text = replay(*model.vocabulary, work.resume[i], choice);
      if (!text) return fail(text.error());
      // This text has been sent already.
      TokenEvent sent{.text = *text};
      if (terms.make_parser && !text->empty()) prepared.parsers.back()->parse(sent);
    }
    prepared.choices.push_back(std::move(choice));
  }
  prepared.constraint = std::move(terms.constraint);
  return {};
}

}  // namespace

Result<std::vector<TokenId>> tokens_of(const ModelView& model, const Prompt& prompt, bool add_special) {
  if (const auto* text = std::get_if<TextPrompt>(&prompt)) {
    if (!text->suffix.empty()) return infill_tokens(*model.vocabulary, *text, add_special);
    return model.vocabulary->tokenize(text->text, add_special, text->parse_special);
  }
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) {
    if (auto checked = check_messages(model.context_length, chat->messages); !checked)
      return fail(checked.error());
    const auto rendered = model.render(*chat, {});
    if (!rendered) return fail(rendered.error());
    return chat_tokens(*model.vocabulary, *rendered, add_special);
  }
  const auto& tokens = std::get<TokenPrompt>(prompt).tokens;
  if (auto checked = check_tokens(*model.vocabulary, "prompt", tokens); !checked)
    return fail(checked.error());
  return tokens;
}

PreparationTime time_of(const Prompt& prompt) {
  const std::size_t bytes = bytes_of(prompt);
  if (bytes > kLongTextBytes) return PreparationTime::kLong;
  const bool is_chat = std::holds_alternative<ChatPrompt>(prompt);
  return is_chat || bytes > kQuickTextBytes ? PreparationTime::kShort : PreparationTime::kNone;
}

PreparationTime time_of_text(std::size_t bytes) {
  if (bytes > kLongTextBytes) return PreparationTime::kLong;
  return bytes > kQuickTextBytes ? PreparationTime::kShort : PreparationTime::kNone;
}

PreparationTime time_of(const GenerateRequest& work) {
  std::size_t bytes = work.format.definition.size();
  for (const std::string& word : work.bad_words) bytes += word.size();
  bool is_quick = work.format.kind == OutputFormat::Kind::kText && work.resume.empty();
  for (const Prompt& prompt : work.prompts) {
    is_quick &= !std::holds_alternative<ChatPrompt>(prompt);
    bytes += bytes_of(prompt);
  }
  for (const auto& tokens : work.resume) bytes += sizeof(TokenId) * tokens.size();
  if (bytes > kLongTextBytes) return PreparationTime::kLong;
  return is_quick && bytes <= kQuickTextBytes ? PreparationTime::kNone : PreparationTime::kShort;
}

Result<void> check_text(const Prompt& prompt) {
  const std::size_t bytes = bytes_of(prompt);
  if (bytes <= kMostTextBytes) return {};
  return fail(invalid_field(
      std::holds_alternative<ChatPrompt>(prompt) ? "messages" : "prompt",
      fmt::format("texts of up to {} bytes are split into tokens, this one has {}: send it in parts",
                  kMostTextBytes, bytes)));
}

Result<Preparation> prepare(std::shared_ptr<const ModelView> owned, const GenerateRequest& work) {
  const ModelView& model = *owned;
  if (auto checked = check_fields(model, work); !checked) return fail(checked.error());
  Preparation prepared{.model = std::move(owned)};
  Terms terms;
  for (const Prompt& prompt : work.prompts) {
    auto tokens = prepare_prompt(model, work, prompt, terms);
    if (!tokens) return fail(tokens.error());
    prepared.prompts.push_back(std::move(*tokens));
  }
  if (!std::holds_alternative<ChatPrompt>(work.prompts.front()) &&
      work.format.kind != OutputFormat::Kind::kText) {
    auto constraint = model.constrain(work.format);
    if (!constraint) return fail(constraint.error());
    terms.constraint = std::move(*constraint);
  }
  auto bytes = bytes_of(model, work, prepared, terms);
  if (!bytes) return fail(bytes.error());
  prepared.bytes = *bytes;
  if (auto banned = bad_tokens_of(*model.vocabulary, work)) {
    prepared.banned = std::move(*banned);
  } else {
    return fail(banned.error());
  }
  terms.stop.insert(terms.stop.begin(), work.stop.stop.begin(), work.stop.stop.end());
  if (auto made = make_choices(model, work, std::move(terms), prepared); !made) return fail(made.error());
  prepared.landmarks = prefix_landmarks(prefix_digests(work));
  return prepared;
}

}  // namespace autoglm::engine
