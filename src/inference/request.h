#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace autoglm {

using TokenId = std::int32_t;

/// How the next token is chosen. The defaults are OpenAI's and vLLM's: plain sampling at
/// temperature 1. Values are validated by the codec that made the request.
struct SamplingParams {
  double temperature = 1.0;           ///< 0: greedy
  double top_p = 1.0;                 ///< (0, 1]
  std::int32_t top_k = 0;             ///< 0: off
  double min_p = 0.0;                 ///< [0, 1]
  double presence_penalty = 0.0;      ///< [-2, 2]
  double frequency_penalty = 0.0;     ///< [-2, 2]
  double repetition_penalty = 1.0;    ///< > 0; 1: off
  std::optional<std::uint64_t> seed;  ///< absent: a fresh one a request
  std::vector<std::pair<TokenId, float>> logit_bias;
};

/// When a generation ends.
struct StopConditions {
  std::optional<std::uint32_t> max_tokens;  ///< absent: as far as the context reaches
  std::vector<std::string> stop;            ///< not part of the text, unless include_stop
  bool include_stop = false;
  bool ignore_eos = false;
};

struct ChatMessage {
  std::string role;
  std::string content;
  std::string name;
};

/// A conversation; the model's own template makes a prompt of it.
struct ChatPrompt {
  std::vector<ChatMessage> messages;
};

/// Text to continue. Special tokens written in it as text stay text.
struct TextPrompt {
  std::string text;
};

/// Tokens to continue, taken as they are.
struct TokenPrompt {
  std::vector<TokenId> tokens;
};

using Prompt = std::variant<TextPrompt, TokenPrompt, ChatPrompt>;

/// Text generation, `n` times from one prompt.
struct GenerateRequest {
  Prompt prompt;
  SamplingParams sampling;
  StopConditions stop;
  std::uint32_t n = 1;
  std::string cache_salt;  ///< requests share computed prefixes only with those of an equal one
};

/// What a client asks of a model, decoded; the vocabulary between codecs, pipeline and endpoints.
/// Immutable once built: shared as `InferenceRequestPtr` by everything that touches the call.
struct InferenceRequest {
  std::string id;     ///< the request id that logs and answers carry
  std::string model;  ///< as resolved: never empty
  std::variant<GenerateRequest> work;
};

using InferenceRequestPtr = std::shared_ptr<const InferenceRequest>;

}  // namespace autoglm
