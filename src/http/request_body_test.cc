// Bodies that their handlers read while they arrive, and the trailers of answers: over real connections.
#include "http/request_body.h"

#include "http/server.h"
#include "http/testing/http2_test_client.h"
#include "runtime/race.h"
#include "runtime/socket.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;
using Client = Http2TestClient;

constexpr std::size_t kWindow = 256UL * 1024;

/// Reads the bodies of requests with the field "pieces" as the test says.
class PieceHandler final : public Handler {
 public:
  Task<void> handle(Request& request, ResponseWriter& response) override {
    const Mark mark{open};
    whole_body = request.arriving == nullptr ? request.body : "";
    if (answer) co_await answer(request, response);
  }
  bool reads_pieces(const Request& request) override { return request.headers.find("pieces").has_value(); }
  std::pair<std::string, std::string_view> refused(const Refusal& refusal, const std::string&) override {
    return {refusal.message, "text/plain"};
  }

  struct Mark {
    explicit Mark(int& counter) : count(counter) { ++count; }
    ~Mark() { --count; }
    Mark(const Mark&) = delete;
    Mark& operator=(const Mark&) = delete;
    int& count;
  };
  std::function<Task<void>(Request&, ResponseWriter&)> answer;
  std::string whole_body;
  int open = 0;
};

class RequestBodyTest : public ::testing::Test {
 protected:
  template <class Scenario>
  void serve(Scenario scenario) {
    run_task(loop_, [&]() -> Task<void> {
      server_ = std::make_unique<Server>(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value(),
                                         limits_, handler_);
      server_->start();
      stream_ = (co_await tcp_connect(pool_, {"127.0.0.1", server_->port()}, Deadline::after(10s))).value();
      co_await scenario();
      stream_.reset();
      server_.reset();
    }());
  }

  /// Carries bytes both ways until `enough()`. False: that did not come about.
  Task<bool> talk(std::function<bool()> enough) {
    const Deadline deadline = Deadline::after(20s);
    std::string buffer(64UL * 1024, '\0');
    while (!enough()) {
      if (const std::string up = client_.said(); !up.empty()) {
        if (!co_await stream_->write_all(std::string_view(up))) co_return false;
      }
      if (enough()) break;
      const auto count =
          co_await with_deadline(deadline, stream_->read_some(std::span(buffer)), "the server");
      if (!count || *count == 0) co_return enough();
      nghttp2_session_mem_recv(client_.session, reinterpret_cast<const std::uint8_t*>(buffer.data()), *count);
    }
    co_return true;
  }
  Task<bool> ended(std::int32_t id) {
    return talk([this, id] { return client_.answers[id].ended; });
  }
  /// What is sent of the only body that is being sent.
  std::size_t unsent() const { return client_.bodies.back().first.size(); }

  static std::string field(const Client::Answer& answer, std::string_view name) {
    for (const auto& [key, value] : answer.fields)
      if (key == name) return value;
    return {};
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
  ServerLimits limits_;
  PieceHandler handler_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<ByteStream> stream_;
  Client client_;
};

TEST_F(RequestBodyTest, AnAnswerMayBeginBeforeTheBodyEnds) {
  handler_.answer = [](Request& request, ResponseWriter& response) -> Task<void> {
    co_await response.start(200, "text/plain");
    std::string bytes;
    while (true) {
      bytes.clear();
      const auto more = co_await request.arriving->read_some(bytes);
      if (!more || !*more) break;
      co_await response.write("[" + bytes + "]");
    }
    co_await response.finish();
  };
  serve([this]() -> Task<void> {
    const std::string ping = "ping";
    const auto id = client_.request({{"pieces", "yes"}}, &ping, false);
    EXPECT_TRUE(co_await talk([&] { return client_.answers[id].body == "[ping]"; }));
    client_.bodies.back() = {"pong", true};
    nghttp2_session_resume_data(client_.session, id);
    EXPECT_TRUE(co_await ended(id));
    EXPECT_EQ(client_.answers[id].body, "[ping][pong]");
  });
}

TEST_F(RequestBodyTest, OtherBodiesAreWholeBeforeTheirHandlerRuns) {
  handler_.answer = [](Request& request, ResponseWriter& response) -> Task<void> {
    EXPECT_EQ(request.arriving, nullptr);
    co_await response.send(200, "text/plain", std::to_string(request.body.size()));
  };
  serve([this]() -> Task<void> {
    const std::string body(3'000'000, 'b');  // more than all windows
    const auto id = client_.request({}, &body);
    EXPECT_TRUE(co_await ended(id));
    EXPECT_EQ(client_.answers[id].body, "3000000");
  });
}

TEST_F(RequestBodyTest, WhatIsNotReadIsNotAcknowledged) {
  Signal go_on;
  std::size_t read = 0;
  handler_.answer = [&](Request& request, ResponseWriter& response) -> Task<void> {
    if (request.headers.find("quick")) {
      co_await response.send(200, "text/plain", "quick");
      co_return;
    }
    co_await response.start(200, "text/plain");
    co_await go_on.wait();
    std::string bytes;
    while (true) {
      bytes.clear();
      const auto more = co_await request.arriving->read_some(bytes);
      if (!more || !*more) break;
      read += bytes.size();
    }
    co_await response.finish();
  };
  serve([&]() -> Task<void> {
    const std::string body(2'000'000, 'b');
    const auto slow = client_.request({{"pieces", "yes"}}, &body);
    // Other requests of the connection go on.
    for (int i = 0; i < 20; ++i) {
      const auto quick = client_.request({{"quick", "yes"}}, nullptr, true, "GET");
      EXPECT_TRUE(co_await ended(quick));
    }
    EXPECT_GE(client_.bodies.front().first.size(), body.size() - kWindow);
    go_on.set();
    EXPECT_TRUE(co_await ended(slow));
    EXPECT_EQ(read, body.size());
  });
}

TEST_F(RequestBodyTest, APieceWithoutMemoryIsAnError) {
  limits_.body_memory = std::make_shared<BodyMemory>(100'000);
  std::optional<Error> error;
  handler_.answer = [&](Request& request, ResponseWriter& response) -> Task<void> {
    std::string bytes;
    while (true) {
      const auto more = co_await request.arriving->read_some(bytes);
      if (!more) error = more.error();
      if (!more || !*more) break;
      if (!request.arriving->keep(bytes.capacity())) break;
    }
    co_await response.send(503, "text/plain", "no memory");
  };
  serve([&]() -> Task<void> {
    const std::string body(2'000'000, 'b');
    const auto id = client_.request({{"pieces", "yes"}}, &body);
    EXPECT_TRUE(co_await ended(id));
    EXPECT_EQ(client_.answers[id].status, "503");
    co_await turns(4);
    EXPECT_EQ(limits_.body_memory->used(), 0U);
  });
}

TEST_F(RequestBodyTest, AClientThatLeavesEndsTheRead) {
  handler_.answer = [](Request& request, ResponseWriter& response) -> Task<void> {
    co_await response.start(200, "text/plain");
    std::string bytes;
    co_await request.arriving->read_some(bytes);
    EXPECT_EQ(bytes, "x");
    co_await request.arriving->read_some(bytes);
  };
  serve([this]() -> Task<void> {
    const std::string first = "x";
    const auto id = client_.request({{"pieces", "yes"}}, &first, false);
    EXPECT_TRUE(co_await talk([&] { return client_.answers[id].status == "200"; }));
    EXPECT_EQ(handler_.open, 1);
    nghttp2_submit_rst_stream(client_.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    co_await stream_->write_all(std::string_view(client_.said()));
    while (handler_.open > 0) co_await sleep_for(1ms);
  });
}

TEST_F(RequestBodyTest, ABodyThatNeverBeginsIsForItsHandlerToRefuse) {
  limits_.body_time = 5ms;
  handler_.answer = [](Request& request, ResponseWriter& response) -> Task<void> {
    EXPECT_NE(request.arriving, nullptr);
    EXPECT_EQ(request.body, "");
    co_await response.send(200, "text/plain", "late");
  };
  serve([this]() -> Task<void> {
    const std::string nothing;
    const auto id = client_.request({{"pieces", "yes"}}, &nothing, false);
    EXPECT_TRUE(co_await ended(id));
    EXPECT_EQ(client_.answers[id].body, "late");
    const auto whole = client_.request({}, &nothing, false);
    EXPECT_TRUE(co_await ended(whole));
    EXPECT_EQ(client_.answers[whole].status, "408");
  });
}

TEST_F(RequestBodyTest, AnEmptyBodyIsOverAtOnce) {
  handler_.answer = [](Request& request, ResponseWriter& response) -> Task<void> {
    std::string bytes;
    const auto more = co_await request.arriving->read_some(bytes);
    EXPECT_TRUE(more && !*more);
    co_await response.send(200, "text/plain", "empty");
  };
  serve([this]() -> Task<void> {
    const std::string nothing;
    for (const std::string* body : {&nothing, static_cast<const std::string*>(nullptr)}) {
      const auto id = client_.request({{"pieces", "yes"}}, body);
      EXPECT_TRUE(co_await ended(id));
      EXPECT_EQ(client_.answers[id].body, "empty");
    }
  });
}

TEST_F(RequestBodyTest, AnAnswerMayEndBeforeTheBodyDoes) {
  handler_.answer = [](Request& /*request*/, ResponseWriter& response) -> Task<void> {
    co_await response.send(200, "text/plain", "enough");
  };
  serve([this]() -> Task<void> {
    const std::string body(2'000'000, 'b');
    const auto id = client_.request({{"pieces", "yes"}}, &body, false);
    EXPECT_TRUE(co_await talk([&] { return client_.answers[id].reset.has_value(); }));
    EXPECT_EQ(client_.answers[id].body, "enough");
    EXPECT_EQ(client_.answers[id].reset, std::uint32_t{NGHTTP2_NO_ERROR});
    // What was dropped is acknowledged to the connection: others have their windows.
    const std::string other(3'000'000, 'b');
    const auto next = client_.request({}, &other);
    EXPECT_TRUE(co_await ended(next));
  });
}

TEST_F(RequestBodyTest, TrailersFollowTheBody) {
  handler_.answer = [](Request& /*request*/, ResponseWriter& response) -> Task<void> {
    co_await response.start(200, "text/plain");
    co_await response.write("text");
    response.add_trailer("Status", "a\r\nb");
    co_await response.finish();
  };
  serve([this]() -> Task<void> {
    const auto id = client_.request({}, nullptr, true, "GET");
    EXPECT_TRUE(co_await ended(id));
    EXPECT_EQ(client_.answers[id].body, "text");
    EXPECT_EQ(field(client_.answers[id], "status"), "a  b");
    EXPECT_EQ(client_.answers[id].reset, std::nullopt);
    // HEAD has neither.
    const auto head = client_.request({}, nullptr, true, "HEAD");
    EXPECT_TRUE(co_await ended(head));
    EXPECT_EQ(field(client_.answers[head], "status"), "");
  });
}

TEST_F(RequestBodyTest, TrailersNeedNoBody) {
  handler_.answer = [](Request& /*request*/, ResponseWriter& response) -> Task<void> {
    co_await response.start(200, "text/plain");
    response.add_trailer("status", "0");
    co_await response.finish();
  };
  serve([this]() -> Task<void> {
    const auto id = client_.request({}, nullptr, true, "GET");
    EXPECT_TRUE(co_await ended(id));
    EXPECT_EQ(field(client_.answers[id], "status"), "0");
  });
}

TEST_F(RequestBodyTest, OverHttp1BodiesAreWholeAndTrailersAreLeftOut) {
  handler_.answer = [](Request& request, ResponseWriter& response) -> Task<void> {
    EXPECT_EQ(request.arriving, nullptr);
    co_await response.start(200, "text/plain");
    co_await response.write(request.body);
    response.add_trailer("status", "0");
    co_await response.finish();
  };
  serve([this]() -> Task<void> {
    co_await stream_->write_all(
        std::string_view("POST / HTTP/1.1\r\nHost: x\r\nPieces: yes\r\nConnection: close\r\n"
                         "Content-Length: 4\r\n\r\nbody"));
    std::string all;
    std::array<char, 4096> buffer;
    while (true) {
      const auto count = co_await stream_->read_some(std::span<char>(buffer));
      if (!count || *count == 0) break;
      all.append(buffer.data(), *count);
    }
    EXPECT_TRUE(all.ends_with("\r\n\r\n4\r\nbody\r\n0\r\n\r\n")) << all;
  });
}

}  // namespace
}  // namespace autoglm::http
