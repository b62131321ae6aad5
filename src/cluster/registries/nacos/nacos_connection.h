#pragma once

#include "base/result.h"
#include "http/grpc_call.h"
#include "http/http2_client.h"
#include "runtime/blocking_pool.h"
#include "runtime/deadline.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::cluster {

/// The reason of an error where a connection did not come about: nobody listens, or it is no Nacos.
inline constexpr std::string_view kNoNacosGrpc = "no_nacos_grpc";

/// A message of Nacos' gRPC: the name of its type and its JSON.
struct NacosMessage {
  std::string type;
  std::string body;
};

std::string write_nacos_payload(const NacosMessage& message, std::string_view token);
/// Errors: kBadGateway.
Result<NacosMessage> read_nacos_payload(std::string_view bytes);
/// What a client answers to a server's request; nothing: it needs no answer.
std::optional<NacosMessage> answer_to_nacos(const NacosMessage& request);

/// A gRPC connection to a member of Nacos, which is also the heartbeat of what it has registered. It answers
/// the server's questions by itself and notices within some seconds that the server is frozen. Control loop
/// only.
class NacosConnection {
 public:
  struct Options {
    http::Http2Client::Target target;
    std::string module;  ///< "naming" or "config"
    std::string name_space;
    std::string token = {};
  };

  /// `names` looks up the host. Errors: kPermissionDenied; all others, also a deadline, have the reason
  /// kNoNacosGrpc.
  static Task<Result<std::unique_ptr<NacosConnection>>> open(BlockingPool& names, Options options);
  NacosConnection(std::unique_ptr<http::Http2Client> connection, Options options);
  NacosConnection(const NacosConnection&) = delete;
  NacosConnection& operator=(const NacosConnection&) = delete;

  /// The JSON of the answer. Errors: those of read_nacos_outcome and of the connection.
  Task<Result<std::string>> ask(NacosMessage question);
  /// Waits for the next news of a service or of a text; of several that wait only the newest is kept, since
  /// a connection is of one module. Errors: why the connection has ended.
  Task<Result<NacosMessage>> next();

  void authorize(std::string token) { options_.token = std::move(token); }
  /// Why the connection has ended; nothing: it has not.
  const std::optional<Error>& over() const { return over_; }

 private:
  Task<Result<void>> set_up();
  Task<Result<std::string>> exchange(NacosMessage question);
  Task<void> listen();
  Task<void> take(NacosMessage message);
  Task<void> check();
  Task<void> guard(Task<void> part);
  void end(Error why);

  Options options_;
  const std::unique_ptr<http::Http2Client> connection_;
  std::optional<http::GrpcCall> stream_;
  Signal acknowledgement_;
  std::optional<NacosMessage> pushed_;
  Signal news_;
  std::optional<Error> over_;
  MonotonicTime heard_at_;
  Scope scope_;  // last: its tasks use the above
};

}  // namespace autoglm::cluster
