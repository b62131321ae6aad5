#include "gateway/front/grpc/method.h"

#include "base/utf8.h"
#include "gateway/front/grpc/rpc_sink.h"
#include "gateway/protocol/openai/error.h"
#include "http/content_coding.h"
#include "runtime/race.h"

#include <fmt/format.h>

namespace autoglm::gateway::grpc {

namespace {

constexpr Duration kDrainPeriod = std::chrono::milliseconds(250);
constexpr Duration kIdleStream = std::chrono::hours(1);

/// Of application/grpc's subtypes only protobuf.
bool is_type(std::string_view type) {
  const std::string_view essence = type.substr(0, type.find_first_of("; \t"));
  return http::equals_ignoring_case(essence, "application/grpc") ||
         http::equals_ignoring_case(essence, "application/grpc+proto");
}

bool claims_grpc(const http::Request& request) {
  const std::string_view type = request.headers.find("content-type").value_or("");
  constexpr std::string_view kClaim = "application/grpc";
  return http::equals_ignoring_case(type.substr(0, kClaim.size()), kClaim);
}

Task<void> until_draining(const Readiness& readiness) {
  while (!readiness.draining()) co_await sleep_for(kDrainPeriod);
}

/// In HTTP's own words: the client does not read gRPC's.
Task<void> refuse(http::ResponseWriter& response, RequestRecord& record, int status, std::string message) {
  record.status = status;
  record.error = message;
  const Error error{
      .code = ErrorCode::kUnsupportedMedia, .message = std::move(message), .reason = "bad_grpc"};
  co_await response.send(status, "application/json", protocol::openai::error_body(error));
}

Task<void> answer(const Method& method, const Readiness& readiness, http::Request& request,
                  http::ResponseWriter& response, RequestRecord& record) {
  if (!is_type(request.headers.find("content-type").value_or(""))) {
    co_await refuse(response, record, 415,
                    fmt::format("{} is a method of gRPC: send protobuf messages as application/grpc",
                                excerpt(request.path, 128)));
    co_return;
  }
  if (request.arriving == nullptr) {
    co_await refuse(response, record, 505, "gRPC needs HTTP/2: by TLS's ALPN, or from the first byte on");
    co_return;
  }
  record.protocol = "gRPC";
  Rpc rpc(request, response, record);
  Result<void> outcome = rpc.open();
  if (outcome && record.refusal) outcome = fail(*record.refusal);
  if (outcome && readiness.draining() && !method.is_probe) outcome = fail(shutting_down());
  if (outcome) outcome = co_await with_deadline(rpc.deadline(), method.answer(rpc), "the call");
  if (!outcome && outcome.error().code == ErrorCode::kDeadlineExceeded && outcome.error().reason.empty())
    outcome.error().message = "the call took longer than its grpc-timeout allows";
  co_await rpc.end(std::move(outcome));
}

}  // namespace

Error shutting_down() {
  return {.code = ErrorCode::kUnavailable,
          .retry = Retry::kElsewhere,
          .message = "this server is shutting down; try again, another one will answer",
          .reason = "draining",
          .retry_after = std::chrono::seconds(1)};
}

Method generation(std::string_view path, std::shared_ptr<const protocol::Codec> codec,
                  const Pipeline& pipeline, std::shared_ptr<const GenerationSettings> settings) {
  return {
      path,
      [codec = std::move(codec), &pipeline, settings = std::move(settings)](Rpc& rpc) -> Task<Result<void>> {
        auto message = co_await rpc.only();
        if (!message) co_return fail(std::move(message).error());
        RpcSink sink(rpc, settings->answer_memory.get());
        GenerationCall call(pipeline, *settings, sink, rpc.record());
        co_await call.run(codec, rpc.incoming(std::move(*message)));
        co_return sink.outcome();
      }};
}

Task<Result<std::optional<std::string>>> next_of_stream(Rpc& rpc, const Readiness& readiness) {
  auto first = co_await first_of(rpc.next(kIdleStream), until_draining(readiness));
  if (first.index() == 1) co_return fail(shutting_down());
  co_return std::move(std::get<0>(first));
}

std::vector<Route> routes_of(std::vector<Method> methods, const Readiness& readiness) {
  std::vector<Route> routes;
  const auto add = [&](Method method, std::function<bool(const http::Request&)> only_for) {
    const auto shared = std::make_shared<const Method>(std::move(method));
    routes.push_back({.method = "POST",
                      .path = shared->path,
                      .example = "",
                      .answer =
                          [shared, &readiness](http::Request& request, http::ResponseWriter& response,
                                               RequestRecord& record) {
                            return answer(*shared, readiness, request, response, record);
                          },
                      .only_for = std::move(only_for),
                      .reads_pieces = true,
                      .while_draining = true,
                      .open = shared->is_probe,
                      .says_refusals = true});
  };
  for (Method& method : methods) add(std::move(method), [](const http::Request&) { return true; });
  add({"",
       [](Rpc& rpc) -> Task<Result<void>> {
         static_cast<void>(rpc);
         co_return fail(
             Error{.code = ErrorCode::kUnimplemented,
                   .origin = Origin::kClient,
                   .message = "this server has no such method; server reflection lists what it has",
                   .reason = "unknown_method"});
       }},
      claims_grpc);
  return routes;
}

}  // namespace autoglm::gateway::grpc
