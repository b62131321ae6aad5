// A gRPC method: its path, and a function of its messages. A real one has messages of its own in proto/; this
// one counts the tokens that it is sent.
#include "gateway/front/grpc/method.h"
#include "gateway/front/grpc/testing/fake_call.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <openautoglm/v1/inference.pb.h>

namespace autoglm::gateway::grpc {
namespace {

namespace v1 = ::openautoglm::v1;

Task<Result<v1::DetokenizeResponse>> count(v1::DetokenizeRequest request) {
  if (request.tokens().empty()) co_return fail(invalid_field("tokens", "tokens is missing: send some"));
  v1::DetokenizeResponse response;
  response.set_text(std::to_string(request.tokens_size()));
  co_return response;
}

std::vector<Method> counting_methods() {
  return {unary<v1::DetokenizeRequest, v1::DetokenizeResponse>(
      "/example.Counting/Count",
      [](v1::DetokenizeRequest request, Rpc&) { return count(std::move(request)); })};
}

TEST(Extending, AGrpcMethodIsAPathAndAFunction) {
  const Readiness readiness;
  const auto routes = routes_of(counting_methods(), readiness);
  EventLoop loop;
  RequestRecord record;
  v1::DetokenizeRequest request;
  FakeCall refused("/example.Counting/Count");
  run_task(loop, routes.front().answer(refused.say(request).request, refused.writer, record));
  EXPECT_EQ(refused.status(), "3");
  request.add_tokens(5);
  FakeCall answered("/example.Counting/Count");
  run_task(loop, routes.front().answer(answered.say(request).request, answered.writer, record));
  EXPECT_EQ(answered.status(), "0");
  EXPECT_EQ(answered.answers<v1::DetokenizeResponse>().at(0).text(), "1");
}

}  // namespace
}  // namespace autoglm::gateway::grpc
