#include "gateway/protocol/openai/client_codec.h"

#include "gateway/protocol/openai/continuation.h"
#include "gateway/protocol/openai/frame_reader.h"
#include "gateway/protocol/openai/request_body.h"
#include "gateway/protocol/whole_answers.h"

#include <map>
#include <span>
#include <utility>
#include <vector>

namespace autoglm::protocol::openai {

namespace {

using Protocol = WireBody::Protocol;
using simdjson::dom::element;

/// A streamed chat or completion, decoded.
class StreamReader final : public AnswerReader {
 public:
  StreamReader(const FrameReader::Shape& shape, const GenerateRequest& work)
      : frames_(shape), said_(work.choices()) {
    for (std::size_t i = 0; i < work.resume.size() && i < said_.size(); ++i)
      said_[i] = static_cast<std::uint32_t>(work.resume[i].size());
  }

  Result<void> read(std::string& bytes, bool over, EventBatch& batch) override {
    std::optional<Error> cut;
    if (over) {
      cut = frames_.ended(bytes);
      bytes += "\n\n";  // the last event may lack the empty line behind it
    }
    const std::size_t before = batch.events.size();
    auto done = frames_.take(bytes, batch);
    place_tokens(std::span(batch.events).subspan(before));
    if (done && *done) {
      batch.usage = frames_.usage();
      return {};
    }
    if (over && (done || done.error().reason == "bad_stream")) return fail(std::move(*cut));
    if (!done) return fail(std::move(done).error());
    return {};
  }
  bool tells_tokens() const override { return frames_.shape().whole_steps; }
  std::size_t kept() const override { return frames_.held().events.capacity() * sizeof(TokenEvent); }

 private:
  /// Token ids count where all of them are told.
  void place_tokens(std::span<TokenEvent> events) {
    for (TokenEvent& event : events) {
      if (!tells_tokens()) event.tokens.clear();
      for (ToolCallDelta& call : event.tool_calls) name_once(event.choice, call);
      event.index = said_[event.choice];
      said_[event.choice] += static_cast<std::uint32_t>(event.tokens.size());
    }
  }

  /// Some servers repeat a call's id and name with each part of its arguments.
  void name_once(std::uint32_t choice, ToolCallDelta& call) {
    if (call.id.empty() && call.name.empty()) return;
    auto& [id, name] = named_[{choice, call.index}];
    if (id) call.id.clear();
    if (name) call.name.clear();
    id |= !call.id.empty();
    name |= !call.name.empty();
  }

  FrameReader frames_;
  std::vector<std::uint32_t> said_;  // tokens of each choice
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::pair<bool, bool>>
      named_;  // calls with an id, a name
};

Usage usage_in(const element& document) {
  element usage;
  if (document["usage"].get(usage) != simdjson::SUCCESS) return {};
  const std::uint32_t prompt = count_at(usage, "prompt_tokens");
  return {.prompt_tokens = prompt != 0 ? prompt : count_at(usage, "total_tokens")};
}

Result<WholeDocument> read_embeddings(const element& document, std::size_t count) {
  simdjson::dom::array data;
  if (document["data"].get(data) != simdjson::SUCCESS)
    return fail(broken_answer("the endpoint sent an answer without embeddings"));
  Vectors vectors(count);
  std::uint64_t place = 0;
  for (const element item : data) {
    std::uint64_t index = place++;
    (void)item["index"].get(index);
    element values;
    if (item["embedding"].get(values) != simdjson::SUCCESS)
      return fail(broken_answer("the endpoint sent an embedding that is no list of numbers"));
    if (auto set = vectors.set(index, values); !set) return fail(std::move(set).error());
  }
  auto taken = vectors.take();
  if (!taken) return fail(std::move(taken).error());
  return WholeDocument{std::move(*taken), usage_in(document)};
}

Result<WholeDocument> read_scored(const element& document, const char* list, const char* key,
                                  std::size_t count) {
  element items;
  if (document[list].get(items) != simdjson::SUCCESS)
    return fail(broken_answer("the endpoint sent an answer without scores"));
  auto scores = read_scores(items, key, count);
  if (!scores) return fail(std::move(scores).error());
  return WholeDocument{std::move(*scores), usage_in(document)};
}

}  // namespace

EndpointPath OpenAiClient::place_of(std::string_view call, const InferenceRequest& /*request*/,
                                    const EndpointTerms& /*terms*/) const {
  return {.path = std::string(call), .from_root = false};
}

EndpointPath OpenAiClient::passing_path(const InferenceRequest& request, const EndpointTerms& terms) const {
  const Protocol protocol = request.wire.protocol;
  const OpaqueRequest* passed = protocol == Protocol::kPassed ? request.opaque() : nullptr;
  if (passed != nullptr) return place_of("/" + passed->path, request, terms);
  if (protocol == Protocol::kGenerate) return {.path = std::string(request_path(protocol))};
  return place_of(request_path(protocol), request, terms);
}

Result<EndpointRequest> OpenAiClient::write(const InferenceRequest& request,
                                            const EndpointTerms& terms) const {
  const std::string_view model = terms.model.empty() ? std::string_view(request.model) : terms.model;
  if (const auto* embed = std::get_if<EmbedRequest>(&request.work)) {
    auto body = embeddings_body(*embed, model, terms, name());
    if (!body) return fail(std::move(body).error());
    return EndpointRequest{.to = place_of("/embeddings", request, terms), .body = std::move(*body)};
  }
  if (const auto* score = std::get_if<ScoreRequest>(&request.work)) {
    const bool one = score->queries.size() == 1;
    return EndpointRequest{
        .to = place_of(one ? "/rerank" : "/score", request, terms),
        .body = one ? rerank_body(*score, model, terms) : score_body(*score, model, terms)};
  }
  auto body = generation_body(request, terms, form(), name());
  if (!body) return fail(std::move(body).error());
  const bool chat = std::holds_alternative<ChatPrompt>(request.generation()->prompts.front());
  return EndpointRequest{
      .to = place_of(request_path(chat ? Protocol::kChat : Protocol::kCompletions), request, terms),
      .body = std::move(*body)};
}

std::unique_ptr<AnswerReader> OpenAiClient::reader(const InferenceRequest& request,
                                                   const EndpointTerms& terms) const {
  if (const auto* embed = std::get_if<EmbedRequest>(&request.work)) {
    return document_reader(
        [count = embed->inputs.size()](const element& document) { return read_embeddings(document, count); });
  }
  if (const auto* score = std::get_if<ScoreRequest>(&request.work)) {
    return document_reader(
        [count = score->documents.size(), one = score->queries.size() == 1](const element& document) {
          return one ? read_scored(document, "results", "relevance_score", count)
                     : read_scored(document, "data", "score", count);
        });
  }
  const GenerateRequest& work = *request.generation();
  FrameReader::Shape shape{.whole_steps = terms.ask_tokens,
                           .resumed = !work.resume.empty(),
                           .decodes = true,
                           .choices = work.choices()};
  for (const auto& tokens : work.resume) shape.said += static_cast<std::uint32_t>(tokens.size());
  return std::make_unique<StreamReader>(shape, work);
}

Continuation OpenAiClient::continuation(const InferenceRequest& request, const EndpointTerms& terms) const {
  const GenerateRequest* work = request.generation();
  if (work == nullptr) return Continuation::kNone;
  if (terms.ours) return Continuation::kExact;
  const bool chat = std::holds_alternative<ChatPrompt>(work->prompts.front());
  return (!chat || terms.continues_chats) && is_plain_text(*work) ? Continuation::kText : Continuation::kNone;
}

}  // namespace autoglm::protocol::openai
