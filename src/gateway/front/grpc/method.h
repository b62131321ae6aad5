#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/grpc/rpc.h"
#include "gateway/front/http/readiness.h"
#include "gateway/front/http/route.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway::grpc {

/// A method of a service: its path, and the task that answers a call. An error of the task is the call's
/// status.
struct Method {
  std::string_view path;  ///< "/package.Service/Method"
  std::function<Task<Result<void>>(Rpc&)> answer;
  bool is_probe = false;  ///< it answers while the process ends, and clients that show no key
};

/// A method with one request and one answer, `answer(request, rpc)`.
template <class Request, class Response, class Answer>
Method unary(std::string_view path, Answer answer) {
  return {path, [answer = std::move(answer)](Rpc& rpc) -> Task<Result<void>> {
            auto request = co_await rpc.only_as<Request>();
            if (!request) co_return fail(std::move(request).error());
            Result<Response> response = co_await answer(std::move(*request), rpc);
            if (!response) co_return fail(std::move(response).error());
            co_return rpc.reply(*response);
          }};
}

/// The method that `codec` reads and writes: one request; one message or a stream of them.
Method generation(std::string_view path, std::shared_ptr<const protocol::Codec> codec,
                  const Pipeline& pipeline, std::shared_ptr<const GenerationSettings> settings);

/// The next message of a stream that may last: none comes when the client has sent its last one. Errors:
/// those of `Rpc::next`, kUnavailable when the process ends.
Task<Result<std::optional<std::string>>> next_of_stream(Rpc& rpc, const Readiness& readiness);

/// For calls while the process ends.
Error shutting_down();

/// Each method as a route, and one that answers calls of unknown methods. A request that is no gRPC is told
/// so.
std::vector<Route> routes_of(std::vector<Method> methods, const Readiness& readiness);

}  // namespace autoglm::gateway::grpc
