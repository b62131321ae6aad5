#include "gateway/front/grpc/services.h"

#include "gateway/front/http/health_routes.h"
#include "gateway/protocol/grpc/infer_codec.h"
#include "gateway/protocol/grpc/tensors.h"

#include <memory>

namespace autoglm::gateway::grpc {

namespace {

namespace codec = protocol::grpc;
namespace kserve = ::inference;

/// The answer to one request of ModelStreamInfer: its messages, and an error as one of them. The stream goes
/// on.
class InferSink final : public AnswerSink {
 public:
  InferSink(Rpc& rpc, std::string id) : rpc_(rpc), id_(std::move(id)) {}

  void tell_origin(const Pipeline::Answer& /*answer*/, bool /*streamed*/) override {}
  Task<Result<void>> send(std::string_view /*content_type*/, std::string_view body) override {
    return rpc_.write(body);
  }
  Task<void> refuse(const Error& error, std::string /*body*/) override {
    const std::string message = codec::infer_failure(id_, error);
    co_await rpc_.write(message);
  }
  Task<Result<void>> begin(std::string_view /*content_type*/) override {
    begun_ = true;
    return rpc_.begin();
  }
  bool begun() const override { return begun_; }
  Task<Result<void>> write(std::string_view bytes) override { return rpc_.write(bytes); }
  Task<Result<void>> finish() override { co_return Result<void>(); }

 private:
  Rpc& rpc_;
  std::string id_;
  bool begun_ = false;
};

/// Its requests are answered one after the other; the record of the call counts all of them.
Task<Result<void>> stream_infer(Rpc& rpc, const ServiceParts& parts) {
  static const auto reads = std::make_shared<const codec::InferCodec>(true);
  Usage total;
  while (true) {
    auto bytes = co_await next_of_stream(rpc, parts.readiness);
    if (!bytes) co_return fail(std::move(bytes).error());
    if (!*bytes) co_return Result<void>();
    if (auto known = rpc.recognize_again(); !known) co_return known;
    auto request = codec::parse<kserve::ModelInferRequest>(**bytes);
    if (!request) co_return fail(std::move(request).error());
    InferSink sink(rpc, std::move(*request->mutable_id()));
    rpc.record().usage = {};
    GenerationCall call(parts.pipeline, *parts.settings, sink, rpc.record());
    co_await call.run(reads, rpc.incoming(std::move(**bytes)));
    if (rpc.broken())
      co_return fail(ErrorCode::kCancelled, "the client does not take the answers of its stream");
    Usage& usage = rpc.record().usage;
    total.prompt_tokens += usage.prompt_tokens;
    total.cached_tokens += usage.cached_tokens;
    total.completion_tokens += usage.completion_tokens;
    usage = total;
  }
}

Task<Result<kserve::ModelReadyResponse>> model_ready(const Pipeline& pipeline,
                                                     kserve::ModelReadyRequest request,
                                                     const Caller* caller) {
  if (auto checked = codec::check_version(request.version()); !checked)
    co_return fail(std::move(checked).error());
  kserve::ModelReadyResponse response;
  const auto models = pipeline.models().now();
  const auto found = models->find(request.name(), caller);
  response.set_ready(found && (*found)->endpoint->status().state == EndpointStatus::State::kReady);
  co_return response;
}

Task<Result<kserve::ModelMetadataResponse>> model_metadata(const Pipeline& pipeline,
                                                           kserve::ModelMetadataRequest request,
                                                           const Caller* caller) {
  if (auto checked = codec::check_version(request.version()); !checked)
    co_return fail(std::move(checked).error());
  const auto card = pipeline.card(request.name(), caller);
  if (!card) co_return fail(card.error());
  kserve::ModelMetadataResponse response;
  response.set_name(card->name);
  response.add_versions("1");
  response.set_platform("open-autoglm");
  codec::describe_tensors(response);
  co_return response;
}

kserve::ServerMetadataResponse server_metadata(const std::string& version) {
  kserve::ServerMetadataResponse response;
  response.set_name("open-autoglm");
  response.set_version(version);
  return response;
}

/// Health, which is told while the process ends, too.
std::vector<Method> states(const ServiceParts& parts) {
  const Readiness& readiness = parts.readiness;
  const Pipeline& pipeline = parts.pipeline;
  std::vector<Method> methods = {
      unary<kserve::ServerLiveRequest, kserve::ServerLiveResponse>(
          "/inference.GRPCInferenceService/ServerLive",
          [](const kserve::ServerLiveRequest&, Rpc&) -> Task<Result<kserve::ServerLiveResponse>> {
            kserve::ServerLiveResponse response;
            response.set_live(true);
            co_return response;
          }),
      unary<kserve::ServerReadyRequest, kserve::ServerReadyResponse>(
          "/inference.GRPCInferenceService/ServerReady",
          [&pipeline, &readiness](const kserve::ServerReadyRequest&,
                                  Rpc&) -> Task<Result<kserve::ServerReadyResponse>> {
            kserve::ServerReadyResponse response;
            response.set_ready(is_ready(pipeline.models(), readiness));
            co_return response;
          }),
  };
  for (Method& method : methods) method.is_probe = true;
  return methods;
}

}  // namespace

std::vector<Method> kserve_methods(const ServiceParts& parts) {
  const Pipeline& pipeline = parts.pipeline;
  std::vector<Method> methods = states(parts);
  methods.push_back(unary<kserve::ModelReadyRequest, kserve::ModelReadyResponse>(
      "/inference.GRPCInferenceService/ModelReady", [&pipeline](kserve::ModelReadyRequest request, Rpc& rpc) {
        return model_ready(pipeline, std::move(request), rpc.record().caller.get());
      }));
  methods.push_back(unary<kserve::ServerMetadataRequest, kserve::ServerMetadataResponse>(
      "/inference.GRPCInferenceService/ServerMetadata",
      [version = parts.version](const kserve::ServerMetadataRequest&, Rpc&)
          -> Task<Result<kserve::ServerMetadataResponse>> { co_return server_metadata(version); }));
  methods.push_back(unary<kserve::ModelMetadataRequest, kserve::ModelMetadataResponse>(
      "/inference.GRPCInferenceService/ModelMetadata",
      [&pipeline](kserve::ModelMetadataRequest request, Rpc& rpc) {
        return model_metadata(pipeline, std::move(request), rpc.record().caller.get());
      }));
  methods.push_back(generation("/inference.GRPCInferenceService/ModelInfer",
                               std::make_shared<codec::InferCodec>(false), pipeline, parts.settings));
  methods.push_back({"/inference.GRPCInferenceService/ModelStreamInfer",
                     [parts](Rpc& rpc) { return stream_infer(rpc, parts); }});
  return methods;
}

}  // namespace autoglm::gateway::grpc
