#pragma once

#include "gateway/protocol/anthropic/messages_codec.h"
#include "gateway/protocol/codec.h"
#include "gateway/protocol/kserve/generate_codec.h"
#include "gateway/protocol/llama/completion_codec.h"
#include "gateway/protocol/ollama/chat_codec.h"
#include "gateway/protocol/ollama/generate_codec.h"
#include "gateway/protocol/openai/chat_codec.h"
#include "gateway/protocol/openai/completions_codec.h"
#include "gateway/protocol/responses/responses_codec.h"
#include "gateway/protocol/vllm/generate_codec.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::protocol {

/// A protocol as the conformance suites ask for it.
struct Protocol {
  const char* name;
  std::unique_ptr<Codec> (*make)();
  const char* prompt;          ///< the members that every body has
  bool tells_usage;            ///< whole answers do, and streams that are asked for it
  bool frames_an_event;        ///< a stream's bytes depend on events alone; else it is a frame a batch
  bool has_choices = true;     ///< a request may ask for several answers
  bool tells_unasked = false;  ///< streams tell their usage in any case
  bool streams = false;        ///< unless it is told otherwise
  bool reads_all = true;       ///< the suite of Codec holds, too; false: parts of the request are no body
  std::string_view frame_end = {"\0", 1};  ///< of a stream that is no event stream
  /// The fields that all have, with these values, and what is read from them.
  const char* members =
      R"("model":"a","stream":true,"n":2,"max_tokens":7,"seed":9,"temperature":0.5,"stop":["x","y"])";
  const char* facts = "a \"hello\" true n 2 most 7 seed 9 temperature 0.5 stop 2 unknown 0";
  /// Fields with values that they cannot have.
  std::vector<std::pair<const char*, const char*>> wrong = {
      {"model", "1"},        {"stream", "\"yes\""}, {"n", "0"},
      {"n", "\"two\""},      {"max_tokens", "-1"},  {"temperature", "\"warm\""},
      {"temperature", "[]"}, {"seed", "{}"},        {"stop", "7"},
      {"top_p", "2"}};
};

template <class Made>
std::unique_ptr<Codec> make() {
  return std::make_unique<Made>();
}

inline Protocol ollama_protocol(const char* name, std::unique_ptr<Codec> (*make)(), const char* prompt) {
  return {
      .name = name,
      .make = make,
      .prompt = prompt,
      .tells_usage = false,
      .frames_an_event = true,
      .has_choices = false,
      .streams = true,
      .frame_end = "\n",
      .members =
          R"("model":"a","stream":true,"options":{"num_predict":7,"seed":9,"temperature":0.5,"stop":["x","y"]})",
      .facts = "a \"hello\" true n 1 most 7 seed 9 temperature 0.5 stop 2 unknown 0",
      .wrong = {{"model", "1"},
                {"stream", "\"yes\""},
                {"format", "7"},
                {"think", "7"},
                {"options", "[]"},
                {"keep_alive", "[]"},
                {"logprobs", "7"}}};
}

/// The path says whether KServe's answers are streamed; here the body does.
class KserveCodec final : public Codec {
 public:
  Result<DecodedCall> decode(std::string_view body) const override {
    return kserve::GenerateCodec("a", body.contains(R"("stream":true)")).decode(body);
  }
  Result<DecodedCall> outline(std::string_view body) const override { return decode(body); }
  std::string error_body(const Error& error) const override { return kserve::error_body(error); }
};

inline std::vector<Protocol> protocols() {
  return {{"Chat", make<openai::ChatCodec>, R"("messages":[{"role":"user","content":"hello"}])", true, true},
          {"Completions", make<openai::CompletionsCodec>, R"("prompt":"hello")", true, true},
          {"Generate", make<vllm::GenerateCodec>, R"("prompt":"hello")", false, false},
          {.name = "Anthropic",
           .make = make<anthropic::MessagesCodec>,
           .prompt = R"("messages":[{"role":"user","content":"hello"}],"max_tokens":7)",
           .tells_usage = true,
           .frames_an_event = true,
           .has_choices = false,
           .tells_unasked = true,
           .members = R"("model":"a","stream":true,"temperature":0.5,"stop_sequences":["x","y"])",
           .facts = "a \"hello\" true n 1 most 7 seed 0 temperature 0.5 stop 2 unknown 0",
           .wrong = {{"model", "1"},
                     {"stream", "\"yes\""},
                     {"max_tokens", "-1"},
                     {"temperature", "[]"},
                     {"stop_sequences", "7"},
                     {"top_p", "2"},
                     {"tools", "7"}}},
          {.name = "Responses",
           .make = make<responses::ResponsesCodec>,
           .prompt = R"("input":"hello")",
           .tells_usage = true,
           .frames_an_event = true,
           .has_choices = false,
           .tells_unasked = true,
           .members = R"("model":"a","stream":true,"temperature":0.5,"max_output_tokens":7)",
           .facts = "a \"hello\" true n 1 most 7 seed 0 temperature 0.5 stop 0 unknown 0",
           .wrong = {{"model", "1"},
                     {"stream", "\"yes\""},
                     {"max_output_tokens", "-1"},
                     {"temperature", "[]"},
                     {"top_p", "2"},
                     {"tools", "7"}}},
          ollama_protocol("OllamaChat", make<ollama::ChatCodec>,
                          R"("messages":[{"role":"user","content":"hello"}])"),
          ollama_protocol("OllamaGenerate", make<ollama::GenerateCodec>, R"("prompt":"hello")"),
          {"LlamaCompletion", make<llama::CompletionCodec>, R"("prompt":"hello")", false, true},
          {.name = "KserveGenerate",
           .make = make<KserveCodec>,
           .prompt = R"("text_input":"hello")",
           .tells_usage = false,
           .frames_an_event = true,
           .has_choices = false,
           .reads_all = false}};
}

}  // namespace autoglm::protocol
