#include "gateway/protocol/openai/completions_codec.h"

#include "gateway/protocol/openai/generate_fields.h"
#include "gateway/protocol/openai/prompt_fields.h"
#include "gateway/protocol/openai/text_encoder.h"

#include <array>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

constexpr std::uint32_t kDefaultMaxTokens = 16;  // OpenAI's, for completions

constexpr auto kCompletionFields = std::to_array<JsonField<GenerateBody>>({{"prompt", read_prompts},
                                                                           {"logprobs", read_logprobs_count},
                                                                           {"echo", read_echo},
                                                                           {"best_of", read_best_of}});

}  // namespace

Result<DecodedCall> CompletionsCodec::decode(std::string_view bytes) const {
  GenerateBody body;
  const auto unknown = read_fields(bytes, body, kCompletionFields, generate_fields(), unsupported_fields());
  if (!unknown) return fail(unknown.error());
  if (!body.has_prompt) {
    return fail(invalid_field("prompt",
                              "prompt is missing: send e.g. {\"prompt\": \"Hello\", \"max_tokens\": 50}",
                              "missing_required_parameter"));
  }
  if (!body.work.stop.max_tokens) body.work.stop.max_tokens = kDefaultMaxTokens;
  if (auto settled = settle_fields(body); !settled) return fail(settled.error());
  return make_call(std::move(body), AnswerShape::kCompletion, *unknown);
}

}  // namespace autoglm::protocol::openai
