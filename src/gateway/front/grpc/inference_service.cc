#include "gateway/front/grpc/services.h"

#include "gateway/protocol/grpc/fields.h"
#include "gateway/protocol/grpc/ranking_codecs.h"
#include "gateway/protocol/grpc/text_codecs.h"

#include <memory>

namespace autoglm::gateway::grpc {

namespace {

namespace codec = protocol::grpc;
namespace v1 = ::openautoglm::v1;

Result<Prompt> read_prompt(v1::TokenizeRequest& request) {
  if (request.has_text()) return TextPrompt{std::move(*request.mutable_text())};
  if (!request.has_chat())
    return fail(invalid_field("prompt", "prompt is missing: set text or chat", "missing_required_parameter"));
  ChatPrompt chat;
  auto messages = codec::read_messages(*request.mutable_chat()->mutable_messages(), "chat.messages");
  if (!messages) return fail(std::move(messages).error());
  auto tools = codec::read_tools(*request.mutable_chat()->mutable_tools(), "chat.tools");
  if (!tools) return fail(std::move(tools).error());
  chat.messages = std::move(*messages);
  chat.tools = std::move(*tools);
  return chat;
}

Task<Result<v1::TokenizeResponse>> tokenize(const Pipeline& pipeline, v1::TokenizeRequest request, Rpc& rpc) {
  auto prompt = read_prompt(request);
  if (!prompt) co_return fail(std::move(prompt).error());
  TokenizeRequest work{.prompt = std::move(*prompt), .with_texts = request.return_token_strs()};
  if (request.has_add_special_tokens()) work.add_special = request.add_special_tokens();
  const auto result =
      co_await pipeline.call(std::move(*request.mutable_model()), std::move(work), rpc.context());
  if (!result) co_return fail(result.error());
  v1::TokenizeResponse response;
  response.mutable_tokens()->Add(result->tokens.begin(), result->tokens.end());
  response.set_max_model_len(result->context_length);
  for (const std::string& text : result->texts) response.add_token_strs(text);
  co_return response;
}

Task<Result<v1::DetokenizeResponse>> detokenize(const Pipeline& pipeline, v1::DetokenizeRequest request,
                                                Rpc& rpc) {
  auto tokens = codec::read_tokens(request.tokens(), "tokens");
  if (!tokens) co_return fail(std::move(tokens).error());
  auto result = co_await pipeline.call(std::move(*request.mutable_model()),
                                       DetokenizeRequest{std::move(tokens->tokens)}, rpc.context());
  if (!result) co_return fail(std::move(result).error());
  v1::DetokenizeResponse response;
  response.set_text(std::move(result->text));
  co_return response;
}

void describe(const ModelCard& card, v1::Model& model) {
  model.set_id(card.name);
  model.set_root(card.root);
  model.set_max_model_len(card.context_length);
  model.set_created(card.created);
  model.set_has_chat_template(card.has_chat_template);
}

Task<Result<v1::ModelsResponse>> models(const Pipeline& pipeline, const v1::ModelsRequest& request,
                                        Rpc& rpc) {
  v1::ModelsResponse response;
  if (request.model().empty()) {
    for (const ModelCard& card : pipeline.cards(rpc.record().caller.get()))
      describe(card, *response.add_models());
    co_return response;
  }
  const auto card = pipeline.card(request.model(), rpc.record().caller.get());
  if (!card) co_return fail(card.error());
  describe(*card, *response.add_models());
  co_return response;
}

}  // namespace

std::vector<Method> inference_methods(const ServiceParts& parts) {
  const Pipeline& pipeline = parts.pipeline;
  return {
      generation("/openautoglm.v1.Inference/Generate", std::make_shared<codec::GenerateCodec>(), pipeline,
                 parts.settings),
      generation("/openautoglm.v1.Inference/Chat", std::make_shared<codec::ChatCodec>(), pipeline,
                 parts.settings),
      generation("/openautoglm.v1.Inference/Embed", std::make_shared<codec::EmbedCodec>(), pipeline,
                 parts.settings),
      generation("/openautoglm.v1.Inference/Rerank", std::make_shared<codec::RerankCodec>(), pipeline,
                 parts.settings),
      unary<v1::TokenizeRequest, v1::TokenizeResponse>("/openautoglm.v1.Inference/Tokenize",
                                                       [&pipeline](v1::TokenizeRequest request, Rpc& rpc) {
                                                         return tokenize(pipeline, std::move(request), rpc);
                                                       }),
      unary<v1::DetokenizeRequest, v1::DetokenizeResponse>(
          "/openautoglm.v1.Inference/Detokenize",
          [&pipeline](v1::DetokenizeRequest request, Rpc& rpc) {
            return detokenize(pipeline, std::move(request), rpc);
          }),
      unary<v1::ModelsRequest, v1::ModelsResponse>(
          "/openautoglm.v1.Inference/Models",
          [&pipeline](const v1::ModelsRequest& request, Rpc& rpc) { return models(pipeline, request, rpc); }),
  };
}

}  // namespace autoglm::gateway::grpc
