#include "gateway/protocol/ollama/client_codec.h"

#include "gateway/protocol/carried.h"
#include "gateway/protocol/object_stream.h"
#include "gateway/protocol/ollama/client_body.h"
#include "gateway/protocol/openai/frame_reader.h"
#include "gateway/protocol/openai/said_error.h"
#include "gateway/protocol/whole_answers.h"

#include <fmt/format.h>

#include <utility>

namespace autoglm::protocol::ollama {

namespace {

using openai::broken_answer;
using simdjson::dom::element;

constexpr std::uint32_t kMostTools = 1024;

/// The lines of `/api/chat` and `/api/generate`.
class StreamReader final : public ObjectStreamReader {
 public:
  /// `id`: of the request; calls without an id of their own are named after it.
  explicit StreamReader(std::string id) : ObjectStreamReader(Framing::kLines), id_(std::move(id)) {}

 private:
  Result<void> take(const element& object, EventBatch& batch) override {
    if (auto error = openai::error_in(object, "the endpoint ended the stream with an error"))
      return fail(std::move(*error));
    element done;
    if (object["done"].get(done) != simdjson::SUCCESS)
      return fail(broken_answer("the endpoint sent a line that is no part of an answer"));
    TokenEvent event{.text = text_at(object, "response"), .reasoning = text_at(object, "thinking")};
    element message;
    if (object["message"].get(message) == simdjson::SUCCESS) {
      event.text = text_at(message, "content");
      event.reasoning = text_at(message, "thinking");
      if (auto calls = take_calls(message, event); !calls) return calls;
    }
    bool over = false;
    if (done.get(over) == simdjson::SUCCESS && over) {
      const std::string reason = text_at(object, "done_reason");
      event.finish = reason == "length" ? FinishReason::kLength
                     : calls_ > 0       ? FinishReason::kToolCalls
                                        : FinishReason::kStop;
      batch.usage = Usage{.prompt_tokens = count_at(object, "prompt_eval_count"),
                          .completion_tokens = count_at(object, "eval_count")};
    }
    if (event.finish || !event.text.empty() || !event.reasoning.empty() || !event.tool_calls.empty())
      batch.events.push_back(std::move(event));
    return {};
  }

  Result<void> take_calls(const element& message, TokenEvent& event) {
    simdjson::dom::array calls;
    if (message["tool_calls"].get(calls) != simdjson::SUCCESS) return {};
    for (const element call : calls) {
      element function;
      if (call["function"].get(function) != simdjson::SUCCESS || calls_ >= kMostTools)
        return fail(broken_answer("the endpoint sent a tool call that is none"));
      std::string id = text_at(call, "id");
      if (id.empty()) id = fmt::format("call_{}_{}", id_, calls_);
      element arguments;
      const bool has_arguments =
          function["arguments"].get(arguments) == simdjson::SUCCESS && arguments.is_object();
      event.tool_calls.push_back(
          {.index = calls_++,
           .id = std::move(id),
           .name = text_at(function, "name"),
           .arguments = has_arguments ? std::string(simdjson::minify(arguments)) : std::string("{}")});
    }
    return {};
  }

  std::string id_;
  std::uint32_t calls_ = 0;
};

Result<WholeDocument> read_embeddings(const element& document, std::size_t count) {
  simdjson::dom::array lists;
  if (document["embeddings"].get(lists) != simdjson::SUCCESS)
    return fail(broken_answer("the endpoint sent an answer without embeddings"));
  Vectors vectors(count);
  std::size_t index = 0;
  for (const element list : lists) {
    if (auto set = vectors.set(index++, list); !set) return fail(std::move(set).error());
  }
  auto taken = vectors.take();
  if (!taken) return fail(std::move(taken).error());
  return WholeDocument{std::move(*taken), Usage{.prompt_tokens = count_at(document, "prompt_eval_count")}};
}

}  // namespace

Result<EndpointRequest> OllamaClient::write(const InferenceRequest& request,
                                            const EndpointTerms& terms) const {
  if (std::holds_alternative<ScoreRequest>(request.work)) return fail(cannot_carry("documents", name()));
  if (const auto* embed = std::get_if<EmbedRequest>(&request.work)) {
    auto body =
        embed_body(*embed, terms.model.empty() ? std::string_view(request.model) : terms.model, name());
    if (!body) return fail(std::move(body).error());
    return EndpointRequest{.to = {.path = "/api/embed"}, .body = std::move(*body)};
  }
  auto body = generation_body(request, terms, name());
  if (!body) return fail(std::move(body).error());
  const bool chat = std::holds_alternative<ChatPrompt>(request.generation()->prompts.front());
  return EndpointRequest{.to = {.path = chat ? "/api/chat" : "/api/generate"}, .body = std::move(*body)};
}

std::unique_ptr<AnswerReader> OllamaClient::reader(const InferenceRequest& request,
                                                   const EndpointTerms& /*terms*/) const {
  if (const auto* embed = std::get_if<EmbedRequest>(&request.work)) {
    return document_reader(
        [count = embed->inputs.size()](const element& document) { return read_embeddings(document, count); });
  }
  return std::make_unique<StreamReader>(request.id);
}

}  // namespace autoglm::protocol::ollama
