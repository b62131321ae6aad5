#pragma once

#include "base/result.h"
#include "inference/sampling.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace autoglm {

/// When a generation ends.
struct StopConditions {
  std::optional<std::uint32_t>
      max_tokens;                    ///< absent: as far as the context reaches; 0: the prompt is only read
  std::vector<std::string> stop;     ///< not part of the text, unless include_stop
  std::vector<TokenId> stop_tokens;  ///< end it too; their text is not part of it, unless include_stop
  bool include_stop = false;
  bool ignore_eos = false;
  std::uint32_t min_tokens = 0;  ///< before which nothing but a complete grammar ends it
};

/// A call of a function that a model asks for.
struct ToolCall {
  std::string id;
  std::string name;
  std::string arguments;  ///< JSON, as the model wrote it
};

struct ChatMessage {
  std::string role;
  std::string content;
  std::string name;
  std::string reasoning;  ///< what an assistant thought before it answered
  std::vector<ToolCall> tool_calls;
  std::string tool_call_id;  ///< which call a tool's message answers
};

/// A function that a model may call.
struct Tool {
  std::string name;
  std::string description;
  std::string parameters;  ///< a JSON schema
};

enum class ToolUse : std::uint8_t { kAuto, kNone, kRequired };

/// A conversation; the model's own template makes a prompt of it.
struct ChatPrompt {
  std::vector<ChatMessage> messages;
  std::vector<Tool> tools;
  ToolUse tool_use = ToolUse::kAuto;
  bool parallel_tool_calls = true;
  bool continue_final_message = false;  ///< the last message is the beginning of the answer
  bool add_generation_prompt = true;    ///< after the last message the assistant's turn begins
  std::map<std::string, std::string> template_arguments;  ///< JSON by name, for the template
};

/// Text to continue.
struct TextPrompt {
  std::string text;
  bool parse_special = true;  ///< special tokens written in the text become these tokens; else they stay text
  std::string suffix = {};    ///< what follows the answer, for models that fill in the middle
};

/// Tokens to continue, taken as they are.
struct TokenPrompt {
  std::vector<TokenId> tokens;
};

using Prompt = std::variant<TextPrompt, TokenPrompt, ChatPrompt>;

/// What the answer's text must be; the sampler keeps to it.
struct OutputFormat {
  enum class Kind : std::uint8_t { kText, kJsonObject, kJsonSchema, kGrammar };
  Kind kind = Kind::kText;
  std::string definition;       ///< the schema, as JSON, or the grammar, as GBNF
  std::string field_name = {};  ///< the field by which the request asked for it; empty: the kind's own

  std::string_view field() const {
    if (!field_name.empty()) return field_name;
    return kind == Kind::kGrammar ? "grammar" : "response_format";
  }
};

/// How much is kept of a prompt that may be longer.
struct Truncation {
  std::int64_t tokens = -1;      ///< -1: what the context leaves beside the answer
  bool keeps_beginning = false;  ///< else its end
};

/// Text generation, `n` times from each prompt. Choice `p * n + i` is the i-th of prompt p.
struct GenerateRequest {
  std::vector<Prompt> prompts = std::vector<Prompt>(1);  ///< never empty
  SamplingRequest sampling;
  StopConditions stop;
  std::uint32_t n = 1;
  OutputFormat format;
  std::optional<std::uint32_t>
      top_logprobs;        ///< report each token's logprob, and those of so many likeliest tokens
  std::string cache_salt;  ///< requests share computed prefixes only with requests of an equal salt
  bool echo = false;       ///< the text begins with the prompt's
  std::optional<std::uint32_t> prompt_logprobs;  ///< as top_logprobs, of the prompt's tokens
  /// The tokens of each choice that another server has generated already; the answer continues after them as
  /// if this server had generated them. Empty, or one list a choice.
  std::vector<std::vector<TokenId>> resume;
  /// The same for endpoints that continue from text: the only choice's text so far, and about how many tokens
  /// it has.
  std::string resume_text;
  std::uint32_t resume_text_tokens = 0;
  std::optional<bool> add_special;       ///< BOS and the like; absent: for texts, not for chats
  std::optional<Truncation> truncation;  ///< absent: a prompt that is too long is refused
  std::vector<std::string> bad_words;    ///< that the answer must not have
  /// Why this program's engine cannot do what is asked: its answer to the request. A server elsewhere gets
  /// the client's own body and decides for itself.
  std::optional<Error> refusal;

  std::uint32_t choices() const { return n * static_cast<std::uint32_t>(prompts.size()); }
};

}  // namespace autoglm
