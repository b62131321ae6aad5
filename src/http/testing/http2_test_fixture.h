#pragma once

#include "http/http2_client.h"
#include "http/testing/http2_test_server.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::http {

/// Tests of a connection to a server that does what they say.
class Http2ClientFixture : public ::testing::Test {
 public:
  /// Runs `scenario` with a connection to a server that does `told`.
  template <class Scenario>
  void with_server(Http2TestConnection::Told told, Scenario scenario, Http2Client::Limits limits = {},
                   std::vector<nghttp2_settings_entry> settings = {}) {
    run_task(loop_, [&]() -> Task<void> {
      Http2TestServer server(std::move(told), std::move(settings));
      auto client = co_await Http2Client::connect(pool_, {.host = {"127.0.0.1", server.port()}},
                                                  Deadline::after(std::chrono::seconds(10)), limits);
      EXPECT_TRUE(client);
      if (client) co_await scenario(**client, server);
    }());
  }
  static Task<std::string> read_all(Http2Call& call) {
    std::string text;
    while (true) {
      const auto count = co_await call.read(text);
      if (!count) co_return text + " !" + count.error().message;
      if (*count == 0) co_return text;
    }
  }
  static Task<bool> until(std::function<bool()> is_so) {
    for (int i = 0; i < 10'000 && !is_so(); ++i) co_await sleep_for(std::chrono::milliseconds(1));
    co_return is_so();
  }
  static Http2Head head(const std::string& path, Fields headers = {}) {
    return {.authority = "model.example", .path = path, .headers = std::move(headers)};
  }

  /// Answers with what it was asked.
  static void echo(Http2TestConnection& connection, std::int32_t id) {
    auto& asked = connection.asked[id];
    if (!asked.whole) return;
    connection.respond(id, "200", {{"x-path", asked.head[":path"]}, {"x-a", asked.head["x-a"]}},
                       asked.head[":method"] + asked.head[":authority"] + asked.body, true,
                       {{"end", "well"}});
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

}  // namespace autoglm::http
