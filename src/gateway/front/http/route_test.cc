#include "gateway/front/http/front.h"

#include "gateway/front/http/testing/recording_writer.h"
#include "http/head_parser.h"
#include "http/request_body.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::gateway {
namespace {

struct Head : http::Request {
  explicit Head(std::string_view path) {
    EXPECT_TRUE(
        http::parse_request_head("POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n\r\n", {}, *this));
  }
};

/// Whose body is never read.
struct NoBody final : http::RequestBody {
  Task<Result<bool>> read_some(std::string& /*to*/) override { co_return false; }
  bool keep(std::size_t /*bytes*/) override { return true; }
  std::size_t most() const override { return 0; }
};

TEST(Route, OnlyTheRouteThatAnswersSaysThatABodyIsReadInPieces) {
  const auto log = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry registry;
  const Readiness readiness;
  EventLoop loop;
  bool moved = false;
  std::vector<Route> routes;
  const auto add = [&](std::string_view path, bool reads_pieces) -> Route& {
    return routes.emplace_back(
        Route{.method = "POST",
              .path = path,
              .example = "",
              .answer = [](http::Request& /*request*/, http::ResponseWriter& response,
                           RequestRecord& record) { return send_json(response, record, "{}"); },
              .only_for = [](const http::Request& /*request*/) { return true; },
              .reads_pieces = reads_pieces});
  };
  add("/whole", false);
  add("/moved", false).only_for = [&](const http::Request& /*request*/) { return moved; };
  add("", true);  // as the one for unknown methods of gRPC
  HttpFront front(std::move(routes), readiness, registry, *log);
  Head whole("/whole");
  EXPECT_FALSE(front.reads_pieces(whole));
  Head other("/other");
  EXPECT_TRUE(front.reads_pieces(other));
  Head changed("/moved");
  EXPECT_TRUE(front.reads_pieces(changed));
  NoBody body;
  changed.arriving = &body;
  moved = true;
  RecordingWriter writer;
  run_task(loop, front.handle(changed, writer));
  EXPECT_EQ(writer.status, 503) << writer.body;
}

}  // namespace
}  // namespace autoglm::gateway
