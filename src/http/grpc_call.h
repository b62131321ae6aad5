#pragma once

#include "base/result.h"
#include "http/http2_client.h"
#include "runtime/deadline.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::http {

/// The reason of an error when the peer answers, but not in gRPC, or does not know the method.
inline constexpr std::string_view kNotGrpc = "not_grpc";

/// A method of gRPC, called over HTTP/2 with messages as bytes: any number each way. Destroying it cancels
/// the call. One reader and one writer; loop thread only.
class GrpcCall {
 public:
  struct Method {
    std::string path;  ///< "/package.Service/Method"
    std::string authority;
    bool tls = false;
    Fields metadata = {};
    Duration timeout = Duration::max();  ///< told to the server; max: none
  };
  static constexpr std::size_t kLargestMessage = std::size_t{64} << 20U;

  /// `connection` may end earlier. Errors: those of `Http2Client::call`.
  static Result<GrpcCall> begin(Http2Client& connection, const Method& method,
                                std::size_t largest_message = kLargestMessage);

  /// Sends a message; `last`: the request ends with it.
  Task<Result<void>> send(std::string_view message, bool last = false);
  /// The next message; nothing: the call has ended well. Errors: by the status of the call, with the server's
  /// message; those of Http2Call; kBadGateway for what is no gRPC (reason kNotGrpc) or is too large.
  Task<Result<std::optional<std::string>>> receive();

 private:
  GrpcCall(std::unique_ptr<Http2Call> call, std::size_t largest_message)
      : call_(std::move(call)), largest_message_(largest_message) {}
  Result<std::optional<std::string>> take_message();
  Result<void> check_head() const;
  Result<void> check_status() const;

  std::unique_ptr<Http2Call> call_;
  std::size_t largest_message_;
  bool head_checked_ = false;
  std::string arrived_;
  std::size_t taken_ = 0;  // of `arrived_`
};

/// One message each way, until `deadline`.
Task<Result<std::string>> grpc_ask(Http2Client& connection, GrpcCall::Method method, std::string message,
                                   Deadline deadline);

/// The error that a status of gRPC stands for; `message` as it is in the trailers.
Error grpc_error(int status, std::string_view message);

}  // namespace autoglm::http
