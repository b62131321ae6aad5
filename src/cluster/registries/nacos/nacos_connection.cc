#include "cluster/registries/nacos/nacos_connection.h"

#include "base/json_string.h"
#include "cluster/registries/nacos/nacos_messages.h"
#include "runtime/event_loop.h"
#include "runtime/race.h"

#include <fmt/format.h>
#include <nacos/payload.pb.h>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr const char* kAsk = "/Request/request";
constexpr const char* kStream = "/BiRequestStream/requestBiStream";
constexpr const char* kClientVersion = "Open-AutoGLM:1";
constexpr std::string_view kRequest = "Request";

constexpr Duration kConnectTime = std::chrono::seconds(3);
constexpr Duration kAnswerTime = std::chrono::seconds(5);
constexpr Duration kHealthTime = std::chrono::seconds(3);
constexpr Duration kQuiet = std::chrono::seconds(5);  // the server lets go of a client after 20 s of silence
constexpr Duration kOldServersSetUp = std::chrono::milliseconds(100);

constexpr unsigned kMessagesInARow = 64;  // before others on the loop have a turn

// What a server sends by itself, of what we use: what is news, and what wants an answer.
constexpr std::array<std::string_view, 2> kNews = {"NotifySubscriberRequest", "ConfigChangeNotifyRequest"};
constexpr std::array<std::string_view, 4> kAnswered = {"NotifySubscriberRequest", "ConfigChangeNotifyRequest",
                                                       "ClientDetectionRequest", "ConnectResetRequest"};

}  // namespace

std::string write_nacos_payload(const NacosMessage& message, std::string_view token) {
  nacos::Payload payload;
  payload.mutable_metadata()->set_type(message.type);
  if (!token.empty()) (*payload.mutable_metadata()->mutable_headers())["accessToken"] = token;
  payload.mutable_body()->set_value(message.body);
  return payload.SerializeAsString();
}

Result<NacosMessage> read_nacos_payload(std::string_view bytes) {
  nacos::Payload payload;
  if (!payload.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) || !payload.has_metadata())
    return fail(Error{.code = ErrorCode::kBadGateway,
                      .origin = Origin::kEndpoint,
                      .message = "Nacos' message cannot be read: it is no Payload"});
  return NacosMessage{.type = payload.metadata().type(), .body = payload.body().value()};
}

std::optional<NacosMessage> answer_to_nacos(const NacosMessage& request) {
  if (std::ranges::find(kAnswered, request.type) == kAnswered.end()) return std::nullopt;
  std::string type = request.type.substr(0, request.type.size() - kRequest.size()) + "Response";
  return NacosMessage{
      .type = std::move(type),
      .body = fmt::format(R"({{"resultCode":200,"errorCode":0,"success":true,"requestId":{}}})",
                          read_nacos_request_id(request.body))};
}

NacosConnection::NacosConnection(std::unique_ptr<http::Http2Client> connection, Options options)
    : options_(std::move(options)), connection_(std::move(connection)), heard_at_(loop_time()) {}

Task<Result<std::unique_ptr<NacosConnection>>> NacosConnection::open(BlockingPool& names, Options options) {
  const auto none = [](Error why) {
    if (why.code != ErrorCode::kPermissionDenied) why.reason = kNoNacosGrpc;
    return fail(std::move(why));
  };
  auto connected =
      co_await http::Http2Client::connect(names, options.target, Deadline::after(kConnectTime), {});
  if (!connected) co_return none(std::move(connected).error());
  auto connection = std::make_unique<NacosConnection>(std::move(*connected), std::move(options));
  if (auto ready = co_await connection->set_up(); !ready) co_return none(std::move(ready).error());
  co_return std::move(connection);
}

Task<Result<void>> NacosConnection::set_up() {
  auto checked = co_await exchange({.type = "ServerCheckRequest", .body = "{}"});
  if (!checked) co_return fail(std::move(checked).error());
  auto stream = http::GrpcCall::begin(*connection_, {.path = kStream,
                                                     .authority = options_.target.host.to_string(),
                                                     .tls = options_.target.tls != nullptr});
  if (!stream) co_return fail(std::move(stream).error());
  stream_.emplace(std::move(*stream));
  const NacosMessage setup{
      .type = "ConnectionSetupRequest",
      .body = fmt::format(R"({{"clientVersion":"{}","tenant":{},"labels":{{"source":"sdk","module":"{}"}},)"
                          R"("abilityTable":{{}}}})",
                          kClientVersion, json_string(options_.name_space), options_.module)};
  if (auto sent = co_await stream_->send(write_nacos_payload(setup, options_.token)); !sent)
    co_return fail(std::move(sent).error());
  scope_.spawn(guard(listen()));
  scope_.spawn(guard(check()));
  // Older servers say nothing when they know the connection.
  const bool says_so = checked->contains("\"supportAbilityNegotiation\":true");
  auto known = co_await with_deadline(Deadline::after(says_so ? kAnswerTime : kOldServersSetUp),
                                      raised(acknowledgement_), "Nacos' acknowledgement of a connection");
  if (over_) co_return fail(*over_);
  if (says_so && !known) co_return fail(std::move(known).error());
  co_return Result<void>();
}

Task<Result<std::string>> NacosConnection::exchange(NacosMessage question) {
  if (over_) co_return fail(*over_);
  auto answer = co_await http::grpc_ask(
      *connection_,
      {.path = kAsk, .authority = options_.target.host.to_string(), .tls = options_.target.tls != nullptr},
      write_nacos_payload(question, options_.token), Deadline::after(kAnswerTime));
  if (!answer) co_return fail(std::move(answer).error());
  heard_at_ = loop_time();
  auto message = read_nacos_payload(*answer);
  if (!message) co_return fail(std::move(message).error());
  if (auto outcome = read_nacos_outcome(message->body); !outcome) co_return fail(std::move(outcome).error());
  co_return std::move(message->body);
}

Task<Result<std::string>> NacosConnection::ask(NacosMessage question) {
  auto answer = co_await exchange(std::move(question));
  // A server that does not answer, or no longer knows the connection, is of no use.
  if (!answer && answer.error().code != ErrorCode::kNotFound &&
      answer.error().code != ErrorCode::kPermissionDenied)
    end(answer.error());
  co_return answer;
}

Task<Result<NacosMessage>> NacosConnection::next() {
  while (true) {
    if (pushed_) co_return *std::exchange(pushed_, std::nullopt);
    if (over_) co_return fail(*over_);
    news_.clear();
    co_await news_.wait();
  }
}

Task<void> NacosConnection::listen() {
  for (unsigned count = 1; !over_; ++count) {
    auto received = co_await stream_->receive();
    if (!received) co_return end(std::move(received).error());
    if (!*received)
      co_return end(Error{.code = ErrorCode::kUnavailable, .message = "Nacos has ended the connection"});
    heard_at_ = loop_time();
    auto message = read_nacos_payload(**received);
    if (!message) co_return end(std::move(message).error());
    co_await take(std::move(*message));
    if (count % kMessagesInARow == 0) co_await yield_to_loop();
  }
}

Task<void> NacosConnection::take(NacosMessage message) {
  if (const auto answer = answer_to_nacos(message)) {
    auto sent = co_await stream_->send(write_nacos_payload(*answer, options_.token));
    if (!sent) co_return end(std::move(sent).error());
  }
  if (message.type == "ConnectResetRequest") {
    end(Error{.code = ErrorCode::kUnavailable, .message = "Nacos asks for a connection elsewhere"});
  } else if (message.type == "SetupAckRequest") {
    acknowledgement_.set();
  } else if (std::ranges::find(kNews, message.type) != kNews.end()) {
    pushed_ = std::move(message);
    news_.set();
  }
}

/// Only an answer shows that the server is there: a frozen process keeps its sockets.
Task<void> NacosConnection::check() {
  while (!over_) {
    if (const Duration quiet = loop_time() - heard_at_; quiet < kQuiet) {
      co_await sleep_for(kQuiet - quiet);
      continue;
    }
    auto well = co_await with_deadline(Deadline::after(kHealthTime),
                                       exchange({.type = "HealthCheckRequest", .body = "{}"}),
                                       "Nacos' answer to a health check");
    if (!well) co_return end(std::move(well).error());
  }
}

/// A part that throws, as when memory is short, ends the connection rather than leave it deaf.
Task<void> NacosConnection::guard(Task<void> part) {
  try {
    co_await std::move(part);
  } catch (const std::exception& exception) {
    end(Error{.code = ErrorCode::kInternal,
              .message = fmt::format("the connection to Nacos has failed: {}", exception.what())});
  }
}

void NacosConnection::end(Error why) {
  if (over_) return;
  over_ = std::move(why);
  acknowledgement_.set();
  news_.set();
}

}  // namespace autoglm::cluster
