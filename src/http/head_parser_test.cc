#include "http/head_parser.h"

#include "base/random.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::http {
namespace {

/// Scans `text` in steps of `step` bytes and parses the head: 0, or the status of the refusal; -1:
/// incomplete.
int outcome(const std::string& text, std::size_t step, Request* request = nullptr, HeadLimits limits = {}) {
  Request local;
  if (request == nullptr) request = &local;
  HeadScanner scanner(limits.bytes);
  for (std::size_t size = std::min(step, text.size());; size = std::min(size + step, text.size())) {
    const auto length = scanner.scan(std::string_view(text).substr(0, size));
    if (!length) return length.error().status;
    if (*length) {
      const auto parsed = parse_request_head(text.substr(0, **length), limits, *request);
      return parsed ? 0 : parsed.error().status;
    }
    if (size == text.size()) return -1;
  }
}

TEST(RequestHead, IsTakenApart) {
  Request request;
  ASSERT_EQ(
      outcome("POST /v1/completions?a=1&b HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nX-A:  v w \t\r\n\r\n",
              7, &request),
      0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/completions");
  EXPECT_EQ(request.query, "a=1&b");
  EXPECT_EQ(request.headers.find("x-a"), "v w");
  EXPECT_EQ(request.framing.kind, BodyFraming::Kind::kLength);
  EXPECT_EQ(request.framing.length, 12U);
  EXPECT_TRUE(request.keep_alive);
}

TEST(RequestHead, KnowsAbsoluteForm) {
  Request request;
  ASSERT_EQ(outcome("GET http://h:80/p?q HTTP/1.1\r\nHost: h\r\n\r\n", 100, &request), 0);
  EXPECT_EQ(request.path, "/p");
  EXPECT_EQ(request.query, "q");
  Request bare;
  ASSERT_EQ(outcome("GET http://h?q=/p HTTP/1.1\r\nHost: h\r\n\r\n", 100, &bare), 0);
  EXPECT_EQ(bare.path, "/") << "a slash in the query begins no path";
  EXPECT_EQ(bare.query, "q=/p");
}

TEST(RequestHead, KnowsWhenTheConnectionStays) {
  const auto keeps = [](const char* head) {
    Request request;
    EXPECT_EQ(outcome(head, 100, &request), 0) << head;
    return request.keep_alive;
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

struct HeadCase {
  const char* head;
  int outcome;
};

// Each head is fed whole and byte by byte; both must give the same outcome.
const HeadCase kHeads[] = {
    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
    {"GET /a%20b HTTP/1.1\r\nHost: x\r\n\r\n", 0},
    {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 0},
    {"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
    {"GET / HTTP/1.0\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nhOsT:x\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: x\r\nX:\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: x\r\nX: \xe9\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 0},
    {"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: x\r\n", -1},
    {"GET / HTTP/1.1\r\n", -1},
    {"", -1},
    {"GET / HTTP/1.1\nHost: x\n\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\n\r\n", 400},
    {"\n", 400},
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nB(d: x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: x\r\nX: a\x01 b\r\n\r\n", 400},
    {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
    {"GET /\r\nHost: x\r\n\r\n", 400},
    {"GET\r\nHost: x\r\n\r\n", 400},
    {"GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET / http/1.1\r\nHost: x\r\n\r\n", 400},
    {"GET / HTTP/1.10\r\nHost: x\r\n\r\n", 505},
    {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
    {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 0},
    {"GET / HTTP/1.9\r\n\r\n", 400},
    {"GET / HTTP/1.x\r\nHost: x\r\n\r\n", 505},
    {"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: a-b_c.example:8080\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: 10.0.0.1:\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0},
    {"GET / HTTP/1.1\r\nHost: a b/c\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: [a b]\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a,b#c\r\n\r\n", 400},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"\x16\x03\x01\x02\x01\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x10\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
    {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\x0b"
     "chunked\r\n\r\n",
     400},
    {"GET / HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\n\r\n", 417},
};

TEST(RequestHead, IsAcceptedOrRefusedAsTheStandardAsks) {
  for (const HeadCase& c : kHeads) {
    EXPECT_EQ(outcome(c.head, 100'000), c.outcome) << c.head;
    EXPECT_EQ(outcome(c.head, 1), c.outcome) << "byte by byte: " << c.head;
  }
}

TEST(RequestHead, IsBounded) {
  const std::string start = "GET / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(outcome(start + "X: " + std::string(40'000, 'a') + "\r\n\r\n", 1000), 431);
  EXPECT_EQ(outcome(std::string(40'000, 'a'), 1000), 431);
  std::string many = start;
  for (int i = 0; i < 101; ++i) many += "X: y\r\n";
  EXPECT_EQ(outcome(many + "\r\n", 1000), 431);
}

TEST(RequestHead, SurvivesRandomDamage) {
  Random random(20261123);
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string head = kHeads[random.below(std::size(kHeads))].head;
    for (std::uint64_t i = random.below(4); i > 0 && !head.empty(); --i) {
      const auto at = static_cast<std::size_t>(random.below(head.size()));
      switch (random.below(3)) {
        case 0:
          head[at] = static_cast<char>(random.below(256));
          break;
        case 1:
          head.erase(at, 1 + static_cast<std::size_t>(random.below(3)));
          break;
        default:
          head.insert(at, 1, "\r\n: \t\0,;"[random.below(8)]);
      }
    }
    const int whole = outcome(head, 100'000);
    ASSERT_EQ(outcome(head, 1 + static_cast<std::size_t>(random.below(5))), whole) << head;
    accepted += whole == 0 ? 1 : 0;
  }
  EXPECT_GT(accepted, 1000);  // enough mutated heads stay valid to cover both ways
}

TEST(ResponseHead, KnowsItsFraming) {
  const auto framing = [](const char* head, const char* method = "GET") {
    ResponseHead response;
    const auto parsed = parse_response_head(head, method, {}, response);
    EXPECT_TRUE(parsed.has_value()) << head;
    return response.framing.kind;
  };
  using Kind = BodyFraming::Kind;
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Kind::kLength);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Kind::kChunked);
  EXPECT_EQ(framing("HTTP/1.1 200\r\n\r\n"), Kind::kUntilClose);
  EXPECT_EQ(framing("HTTP/1.1 204 No Content\r\n\r\n"), Kind::kNone);
  EXPECT_EQ(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"), Kind::kNone);
}

TEST(ResponseHead, RefusesGarbage) {
  for (const char* head : {"HTTP/1.1 2000 OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "ICY 200 OK\r\n\r\n",
                           "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 099 X\r\n\r\n", "HTTP/1.1 600 X\r\n\r\n",
                           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"}) {
    ResponseHead response;
    const auto parsed = parse_response_head(head, "GET", {}, response);
    ASSERT_FALSE(parsed) << head;
    EXPECT_EQ(parsed.error().status, 502);
  }
}

TEST(PercentDecode, DecodesOrRefuses) {
  EXPECT_EQ(percent_decode("a%2Fb%20c"), "a/b c");
  EXPECT_EQ(percent_decode("%4"), std::nullopt);
  EXPECT_EQ(percent_decode("%zz"), std::nullopt);
}

}  // namespace
}  // namespace autoglm::http
