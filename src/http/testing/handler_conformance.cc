// The conformance suite of Handler: the rules that connections and the gateway rely on.
#include "http/testing/handler_conformance.h"

#include "http/chunked.h"
#include "runtime/socket.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>
#include <thread>
#include <utility>

namespace autoglm::http {

HandlerImplementation::HandlerImplementation(const char* called, Make maker) : name(called), make(maker) {}
HandlerConformance::~HandlerConformance() = default;

namespace {

using namespace std::chrono_literals;

/// A server for the handler on its own loop, and clients for it.
struct Place {
  explicit Place(HandlerSubject& of) : subject(of) {}

  /// Runs `scenario(place)` while the server runs.
  template <class Scenario>
  void serve(Scenario scenario) {
    run_task(loop, [&]() -> Task<void> {
      server = std::make_unique<Server>(TcpListener::create(EventLoop::current(), {"127.0.0.1", 0}).value(),
                                        ServerLimits(), subject.handler());
      server->start();
      co_await scenario(*this);
      server.reset();
    }());
  }
  Task<std::unique_ptr<ByteStream>> connect() {
    co_return (co_await tcp_connect(pool, {"127.0.0.1", server->port()}, Deadline::after(10s))).value();
  }
  static Task<std::string> read_to_end(ByteStream& stream) {
    std::string text;
    std::array<char, 4096> buffer;
    while (true) {
      const auto count = co_await with_deadline(Deadline::after(20s),
                                                stream.read_some(std::span<char>(buffer)), "the answer");
      if (!count || *count == 0) co_return text;
      text.append(buffer.data(), *count);
    }
  }
  Task<std::string> exchange(std::string bytes) {
    const auto stream = co_await connect();
    co_await stream->write_all(std::string_view(bytes));
    co_return co_await read_to_end(*stream);
  }
  Task<bool> comes_to_rest() const {
    const Deadline until = Deadline::after(20s);
    while (server->counts().open_connections > 0 || !subject.idle()) {
      if (until.passed()) co_return false;
      co_await sleep_for(200us);
    }
    co_return true;
  }

  HandlerSubject& subject;
  EventLoop loop;
  BlockingPool pool{1, 8};
  std::unique_ptr<Server> server;
};

struct Answer {
  std::string status;
  std::string type;
  std::string body;
  bool operator==(const Answer&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  return out << answer.status << ' ' << answer.type << ": " << answer.body;
}

std::string field(std::string_view head, std::string_view name) {
  const std::size_t at = head.find(name);
  if (at == std::string_view::npos) return {};
  const std::string_view value = head.substr(at + name.size());
  return std::string(value.substr(0, value.find("\r\n")));
}

/// Times and ids differ every time.
std::string without_numbers(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      out += c;
    } else if (!out.ends_with('#')) {
      out += '#';
    }
  }
  return out;
}

/// Takes the first answer off `bytes`; an answer to HEAD has no body.
Answer take_answer(std::string_view& bytes, bool of_head = false) {
  const std::size_t end = bytes.find("\r\n\r\n");
  EXPECT_NE(end, std::string_view::npos) << bytes;
  if (end == std::string_view::npos) return {};
  const std::string_view head = bytes.substr(0, end + 2);
  bytes.remove_prefix(end + 4);
  Answer answer{.status = std::string(head.substr(0, 12)), .type = field(head, "Content-Type: "), .body = {}};
  if (of_head) return answer;
  if (field(head, "Transfer-Encoding: ") == "chunked") {
    while (true) {
      const std::size_t size = std::stoul(std::string(bytes), nullptr, 16);
      bytes.remove_prefix(bytes.find("\r\n") + 2);
      answer.body += bytes.substr(0, size);
      bytes.remove_prefix(std::min(size + 2, bytes.size()));
      if (size == 0) break;
    }
  } else {
    const std::string length = field(head, "Content-Length: ");
    const std::size_t size = length.empty() ? bytes.size() : std::stoul(length);
    EXPECT_LE(size, bytes.size()) << head << "\nis cut off";
    answer.body = bytes.substr(0, size);
    bytes.remove_prefix(std::min(size, bytes.size()));
  }
  answer.body = without_numbers(answer.body);
  return answer;
}

Answer only_answer(std::string_view bytes, bool of_head = false) {
  Answer answer = take_answer(bytes, of_head);
  EXPECT_TRUE(bytes.empty()) << "more than one answer: " << bytes;
  return answer;
}

Task<Answer> ask(Place& place, std::string request) {
  const bool head = request.starts_with("HEAD ");
  co_return only_answer(co_await place.exchange(std::move(request)), head);
}

// A program may link the suite without an implementation to run it on.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(HandlerConformance);

TEST_P(HandlerConformance, GivesEachRequestTheOneAnswerThatItHas) {
  Place(*subject_).serve([](Place& place) -> Task<void> {
    for (const std::string& request : place.subject.requests()) {
      const Answer first = co_await ask(place, request);
      EXPECT_TRUE(first.status.starts_with("HTTP/1.1 ")) << first << "\nto " << request;
      const Answer second = co_await ask(place, request);
      EXPECT_EQ(second, first) << request;
    }
    EXPECT_TRUE(co_await place.comes_to_rest());
  });
}

TEST_P(HandlerConformance, HeadIsGetWithoutTheBody) {
  Place(*subject_).serve([](Place& place) -> Task<void> {
    std::size_t gets = 0;
    for (const std::string& request : place.subject.requests()) {
      if (!request.starts_with("GET ")) continue;
      ++gets;
      const Answer get = co_await ask(place, request);
      const Answer head = co_await ask(place, "HEAD " + request.substr(4));
      EXPECT_EQ(head.status, get.status) << request;
      EXPECT_EQ(head.type, get.type) << request;
    }
    EXPECT_GT(gets, 0U) << "the subject has no GET";
  });
}

TEST_P(HandlerConformance, ARequestMayComeInAnyTwoPieces) {
  Place(*subject_).serve([](Place& place) -> Task<void> {
    for (const std::string& request : place.subject.requests()) {
      const Answer whole = co_await ask(place, request);
      for (std::size_t at = 1; at < request.size(); ++at) {
        const auto stream = co_await place.connect();
        co_await stream->write_all(std::string_view(request).substr(0, at));
        co_await turns(4);
        co_await stream->write_all(std::string_view(request).substr(at));
        const Answer answer = only_answer(co_await Place::read_to_end(*stream));
        EXPECT_EQ(answer, whole) << at << " bytes of " << request;
      }
    }
  });
}

TEST_P(HandlerConformance, WhoLeavesAnywhereLeavesNothing) {
  Place(*subject_).serve([](Place& place) -> Task<void> {
    for (const std::string& request : place.subject.requests()) {
      const Answer whole = co_await ask(place, request);
      for (unsigned count = 0; count < 40; ++count) {
        auto stream = co_await place.connect();
        co_await stream->write_all(std::string_view(request));
        co_await turns(count);
        stream.reset();
        EXPECT_TRUE(co_await place.comes_to_rest()) << "left behind " << count << " turns: " << request;
      }
      EXPECT_EQ(co_await ask(place, request), whole) << request;
    }
  });
}

TEST_P(HandlerConformance, WhoLeavesInTheMiddleOfARequestLeavesNothing) {
  Place(*subject_).serve([](Place& place) -> Task<void> {
    for (const std::string& request : place.subject.requests()) {
      for (std::size_t at = 0; at < request.size(); at += 5) {
        auto stream = co_await place.connect();
        co_await stream->write_all(std::string_view(request).substr(0, at));
        co_await turns(4);
        stream.reset();
        EXPECT_TRUE(co_await place.comes_to_rest()) << at << " bytes of " << request;
      }
    }
  });
}

TEST_P(HandlerConformance, RequestsInARowAreAnsweredInTheirOrder) {
  Place(*subject_).serve([](Place& place) -> Task<void> {
    const std::vector<std::string> requests = place.subject.requests();
    constexpr std::string_view kClose = "Connection: close\r\n";
    for (std::size_t first = 0; first < requests.size(); ++first) {
      std::string bytes;
      std::vector<Answer> wanted;
      for (std::size_t i = 0; i < 3; ++i) {
        std::string request = requests[(first + i) % requests.size()];
        wanted.push_back(co_await ask(place, request));
        EXPECT_NE(request.find(kClose), std::string::npos) << request;
        if (i < 2) request.erase(request.find(kClose), kClose.size());
        bytes += request;
      }
      const std::string all = co_await place.exchange(std::move(bytes));
      std::string_view rest = all;
      for (const Answer& one : wanted) EXPECT_EQ(take_answer(rest), one) << all;
      EXPECT_TRUE(rest.empty()) << rest;
    }
  });
}

TEST_P(HandlerConformance, ABodyThatNobodyWantsIsNoNextRequest) {
  Place(*subject_).serve([](Place& place) -> Task<void> {
    const std::string inner = place.subject.requests().front();
    const std::string post = "POST /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
                             std::to_string(inner.size()) + "\r\n\r\n" + inner;
    const Answer answer = co_await ask(place, post);
    EXPECT_TRUE(answer.status.starts_with("HTTP/1.1 ")) << answer;
  });
}

TEST_P(HandlerConformance, WhatIsNoRequestIsRefusedWithAWord) {
  Place(*subject_).serve([](Place& place) -> Task<void> {
    for (const char* garbage :
         {"BLAH\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", "GET /\x01 HTTP/1.1\r\n\r\n",
          "GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"}) {
      const Answer answer = co_await ask(place, garbage);
      EXPECT_TRUE(answer.status.starts_with("HTTP/1.1 4") || answer.status.starts_with("HTTP/1.1 5"))
          << answer;
      EXPECT_FALSE(answer.body.empty()) << garbage;
      EXPECT_FALSE(answer.type.empty()) << garbage;
    }
    EXPECT_TRUE(co_await place.comes_to_rest());
  });
}

TEST_P(HandlerConformance, OneServesTheConnectionsOfAllLoops) {
  const auto loop = [this] {
    Place(*subject_).serve([](Place& place) -> Task<void> {
      for (int i = 0; i < 10; ++i) {
        for (const std::string& request : place.subject.requests()) {
          const Answer answer = co_await ask(place, request);
          EXPECT_TRUE(answer.status.starts_with("HTTP/1.1 ")) << answer;
        }
      }
    });
  };
  std::thread other(loop);
  loop();
  other.join();
}

}  // namespace
}  // namespace autoglm::http
