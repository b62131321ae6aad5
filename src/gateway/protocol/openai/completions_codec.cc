#include "gateway/protocol/openai/completions_codec.h"

#include "gateway/protocol/openai/format_fields.h"
#include "gateway/protocol/openai/generate_fields.h"
#include "gateway/protocol/openai/other_fields.h"
#include "gateway/protocol/openai/outline.h"
#include "gateway/protocol/openai/prompt_fields.h"
#include "gateway/protocol/openai/text_encoder.h"

#include <array>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

constexpr std::uint32_t kDefaultMaxTokens = 16;  // OpenAI's, for completions

constexpr auto kCompletionFields =
    std::to_array<JsonField<GenerateBody>>({{"prompt", read_prompts},
                                            {"logprobs", read_logprobs_count},
                                            {"echo", read_echo},
                                            {"suffix", read_suffix},
                                            {"parse_special", read_parse_special},
                                            {"best_of", read_best_of}});

}  // namespace

Result<DecodedCall> CompletionsCodec::decode(std::string_view bytes) const {
  GenerateBody body;
  const auto unknown = read_fields(bytes, body, kCompletionFields, generate_fields(), format_fields(),
                                   unsupported_fields(), ignored_fields());
  if (!unknown) return fail(unknown.error());
  if (!body.has_prompt) {
    return fail(invalid_field("prompt",
                              "prompt is missing: send e.g. {\"prompt\": \"Hello\", \"max_tokens\": 50}",
                              "missing_required_parameter"));
  }
  if (auto settled = settle_prompts(body); !settled) return fail(settled.error());
  if (auto settled = settle_fields(body, kDefaultMaxTokens); !settled) return fail(settled.error());
  return make_call(std::move(body), AnswerShape::kCompletion, *unknown);
}

Result<DecodedCall> CompletionsCodec::outline(std::string_view body) const {
  return openai::outline(*this, WireBody::Protocol::kCompletions, body);
}

}  // namespace autoglm::protocol::openai
