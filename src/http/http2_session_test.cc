#include "http/http2_session.h"

#include "http/testing/http2_test_client.h"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace autoglm::http {
namespace {

using namespace std::chrono_literals;
using Client = Http2TestClient;
using Fields = Client::Fields;

class TestStream;

/// What the streams of one session have seen.
struct Seen {
  std::vector<TestStream*> open;
  std::vector<int> refusals;
  int answered = 0;
  int destroyed = 0;
};

class TestStream final : public Http2Stream {
 public:
  TestStream(Seen& seen, Http2Session*& session) : seen_(seen), session_(session) {
    seen_.open.push_back(this);
  }
  ~TestStream() override {
    ++seen_.destroyed;
    std::erase(seen_.open, this);
  }

  void answer() override {
    ++seen_.answered;
    if (request.headers.find("wait")) return;
    text = std::string(request.method) + " " + std::string(request.path) + " " + std::string(request.query) +
           " " + std::string(request.headers.find("host").value_or("")) + " " + request.body;
    respond("200");
  }
  void refuse(Refusal refusal) override {
    seen_.refusals.push_back(refusal.status);
    text = refusal.message;
    respond(std::to_string(refusal.status));
  }
  void supplied(bool stalled) override { (stalled ? stalls : taken) += 1; }
  bool done() const override { return taken > 0; }

  void respond(const std::string& status, bool last = true) {
    const HeaderField fields[] = {{":status", status}, {"x", "y"}};
    session_->respond(*this, fields, true);
    session_->supply(*this, text, last);
  }

  std::string text;
  int taken = 0;
  int stalls = 0;

 private:
  Seen& seen_;
  Http2Session*& session_;
};

class Http2SessionTest : public ::testing::Test {
 protected:
  void begin() {
    session_ = std::make_unique<Http2Session>(
        limits_, [this] { return std::make_unique<TestStream>(seen_, session_pointer_); });
    session_pointer_ = session_.get();
  }
  /// Carries bytes both ways until neither side has any left. False when the server gives up.
  bool talk() {
    while (true) {
      const std::string up = client_.said();
      if (!up.empty() && !session_->receive(up)) return false;
      std::string down;
      EXPECT_TRUE(session_->transmit(down, 1 << 20));
      if (up.empty() && down.empty()) return true;
      nghttp2_session_mem_recv(client_.session, reinterpret_cast<const std::uint8_t*>(down.data()),
                               down.size());
    }
  }

  ServerLimits limits_;
  Seen seen_;
  Http2Session* session_pointer_ = nullptr;
  Client client_;
  std::unique_ptr<Http2Session> session_;
};

TEST_F(Http2SessionTest, AnswersManyRequestsOfAConnection) {
  begin();
  const std::string body(100'000, 'b');
  const auto large = client_.request({}, &body);
  const auto none = client_.request({}, nullptr, true, "GET");
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.answers[none].status, "200");
  EXPECT_EQ(client_.answers[none].body, "GET /echo a=b host ");
  EXPECT_TRUE(client_.answers[none].ended);
  // The answer is larger than the client's window.
  EXPECT_EQ(client_.answers[large].body.size() + client_.answers[none].body.size(), 65'535U);
  EXPECT_EQ(seen_.open.size(), 1U);
  nghttp2_session_consume(client_.session, large, 65'000);
  ASSERT_TRUE(talk());
  EXPECT_TRUE(client_.answers[large].ended);
  EXPECT_EQ(client_.answers[large].body, "POST /echo a=b host " + body);
  EXPECT_EQ(session_->streams(), 0U);
  EXPECT_FALSE(session_->ended());
}

TEST_F(Http2SessionTest, AStreamThatIsResetIsDestroyed) {
  begin();
  const auto id = client_.request({{"wait", "1"}});
  ASSERT_TRUE(talk());
  EXPECT_EQ(session_->streams(), 1U);
  nghttp2_submit_rst_stream(client_.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
  ASSERT_TRUE(talk());
  EXPECT_EQ(seen_.destroyed, 1);
  EXPECT_EQ(session_->streams(), 0U);
  EXPECT_FALSE(session_->ended());
}

TEST_F(Http2SessionTest, HeadsAreBounded) {
  begin();
  const auto large = client_.request({{"x", std::string(limits_.head.bytes, 'x')}});
  Fields many;
  for (std::size_t i = 0; i < limits_.head.fields; ++i) many.emplace_back("a", "b");
  const auto full = client_.request(many);
  const auto fine = client_.request({});
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.answers[large].status, "431");
  EXPECT_EQ(client_.answers[full].status, "431");
  EXPECT_EQ(client_.answers[fine].status, "200");
}

TEST_F(Http2SessionTest, AHeadThatUnpacksToMuchEndsTheConnection) {
  begin();
  Fields bomb;  // one field, then one byte for each repetition of it
  for (int i = 0; i < 1000; ++i) bomb.emplace_back("x", std::string(3000, 'x'));
  client_.request(bomb);
  talk();
  EXPECT_EQ(client_.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
  EXPECT_TRUE(session_->ended());
  EXPECT_EQ(seen_.answered, 0);
}

TEST_F(Http2SessionTest, BodiesAreBounded) {
  limits_.body_bytes = 100'000;
  begin();
  const std::string body(100'001, 'b');
  const auto announced = client_.request({{"content-length", "100001"}}, &body);
  const auto silent = client_.request({}, &body);
  ASSERT_TRUE(talk());
  for (const auto id : {announced, silent}) {
    EXPECT_EQ(client_.answers[id].status, "413");
    EXPECT_TRUE(client_.answers[id].ended);
  }
  EXPECT_EQ(client_.answers[announced].reset, NGHTTP2_NO_ERROR) << "the rest need not come";
  EXPECT_EQ(session_->streams(), 0U);
}

TEST_F(Http2SessionTest, BodiesShareTheMemoryOfAll) {
  limits_.body_memory = std::make_shared<BodyMemory>(50'000);
  begin();
  const std::string body(40'000, 'b');
  client_.request({{"wait", "1"}, {"content-length", "40000"}}, &body);
  const auto second = client_.request({{"content-length", "40000"}}, &body);
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.answers[second].status, "503");
  EXPECT_GE(limits_.body_memory->used(), 40'000U);
  session_.reset();
  EXPECT_EQ(limits_.body_memory->used(), 0U);
}

TEST_F(Http2SessionTest, AFloodOfResetsEndsTheConnection) {
  limits_.http2_streams = 1'000'000;
  begin();
  ASSERT_TRUE(talk());
  for (int i = 0; i < 3000 && !client_.goaway; ++i) {
    const auto id = client_.request({{"wait", "1"}});
    if (!talk()) break;
    nghttp2_submit_rst_stream(client_.session, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    if (!talk()) break;
  }
  EXPECT_TRUE(client_.goaway.has_value());
  EXPECT_LT(seen_.answered, 1500);
}

TEST_F(Http2SessionTest, WhatTakesTooLongEnds) {
  begin();
  const std::string half(10, 'h');
  const auto slow = client_.request({}, &half, false);
  ASSERT_TRUE(talk());
  const auto now = std::chrono::steady_clock::now();
  session_->expire(now);
  EXPECT_EQ(seen_.refusals, std::vector<int>{});
  EXPECT_LE(session_->next_expiry(), now + limits_.body_time);
  session_->expire(now + limits_.body_time);
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.answers[slow].status, "408");
  EXPECT_FALSE(client_.goaway);
  session_->expire(now + limits_.body_time + limits_.idle_time + 1s);
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.goaway, NGHTTP2_NO_ERROR);
  EXPECT_TRUE(session_->ended());
}

TEST_F(Http2SessionTest, AHeadThatStopsEndsTheConnection) {
  begin();
  ASSERT_TRUE(talk());
  client_.request({{"x", std::string(100, 'x')}});
  const std::uint8_t* bytes = nullptr;
  const ssize_t count = nghttp2_session_mem_send(client_.session, &bytes);
  ASSERT_GT(count, 20);
  ASSERT_TRUE(session_->receive({reinterpret_cast<const char*>(bytes), 20}));
  const auto now = std::chrono::steady_clock::now();
  EXPECT_LE(session_->next_expiry(), now + limits_.header_time);
  session_->expire(now + limits_.header_time);
  std::string down;
  ASSERT_TRUE(session_->transmit(down, 1 << 20));
  EXPECT_TRUE(session_->ended());
}

TEST_F(Http2SessionTest, AHeadThatIsRefusedHasEnded) {
  begin();
  const auto waiting = client_.request({{"wait", "1"}});
  const auto bad = client_.request({{"connection", "close"}});
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.answers[bad].reset, NGHTTP2_PROTOCOL_ERROR);
  session_->expire(std::chrono::steady_clock::now() + limits_.header_time + 1s);
  ASSERT_TRUE(talk());
  EXPECT_FALSE(client_.goaway);
  EXPECT_FALSE(client_.answers[waiting].reset);
}

TEST_F(Http2SessionTest, AnswersThatNobodyTakesAreToldSo) {
  begin();
  const std::string body(100'000, 'b');
  client_.request({}, &body);
  ASSERT_TRUE(talk());
  client_.request({}, nullptr);
  ASSERT_TRUE(talk());
  // The client takes part of one answer and nothing of the other.
  ASSERT_EQ(seen_.open.size(), 2U);
  EXPECT_EQ(client_.answers[1].body.size(), 65'535U);
  EXPECT_EQ(client_.answers[3].body.size(), 0U);
  const auto now = std::chrono::steady_clock::now();
  session_->expire(now);
  for (const TestStream* stream : seen_.open) EXPECT_EQ(stream->stalls, 0);
  session_->expire(now + limits_.write_stall);
  for (TestStream* stream : seen_.open) {
    EXPECT_EQ(stream->stalls, 1);
    Http2Session::withdraw(*stream);
    session_->reset(*stream);
  }
  ASSERT_TRUE(talk());
  for (const auto id : {1, 3}) EXPECT_EQ(client_.answers[id].reset, NGHTTP2_INTERNAL_ERROR);
  EXPECT_EQ(session_->streams(), 0U);
}

TEST_F(Http2SessionTest, WhatWaitsInOurOwnQueueIsNotTheClientsFault) {
  begin();
  const std::string body(10'000, 'b');
  client_.request({}, &body);
  ASSERT_TRUE(session_->receive(client_.said()));
  ASSERT_EQ(seen_.open.size(), 1U);
  const auto late = std::chrono::steady_clock::now() + limits_.write_stall;
  session_->expire(late);
  EXPECT_EQ(seen_.open[0]->stalls, 0) << "its windows are open";
  EXPECT_EQ(session_->next_expiry(), late + limits_.write_stall);
  ASSERT_TRUE(talk());
  EXPECT_TRUE(client_.answers[1].body.ends_with(body));
}

TEST_F(Http2SessionTest, ARefusalThatNobodyTakesEnds) {
  begin();
  client_.give_window(0);
  const std::string half(10, 'h');
  client_.request({}, &half, false);
  ASSERT_TRUE(talk());
  session_->expire(std::chrono::steady_clock::now() + limits_.body_time);
  ASSERT_EQ(seen_.refusals, std::vector<int>{408});
  ASSERT_TRUE(talk());
  ASSERT_LE(session_->next_expiry(), std::chrono::steady_clock::now() + limits_.write_stall);
  session_->expire(std::chrono::steady_clock::now() + limits_.write_stall);
  EXPECT_EQ(seen_.open.at(0)->stalls, 1);
}

TEST_F(Http2SessionTest, AnEndThatNobodyTakesIsCut) {
  begin();
  client_.give_window(5);
  const auto id = client_.request({{"wait", "1"}});
  ASSERT_TRUE(talk());
  TestStream& stream = *seen_.open.at(0);
  stream.text = "whole";
  stream.respond("200", false);
  ASSERT_TRUE(talk());
  EXPECT_EQ(stream.taken, 1);
  session_->supply(stream, {}, true);
  ASSERT_TRUE(talk());
  EXPECT_FALSE(client_.answers[id].ended);
  session_->expire(std::chrono::steady_clock::now() + limits_.write_stall);
  ASSERT_TRUE(talk());
  EXPECT_TRUE(client_.answers[id].reset);
  EXPECT_EQ(session_->streams(), 0U);
}

TEST_F(Http2SessionTest, WhoDoesNotReadCannotMakeUsSayEverMore) {
  begin();
  bool going_on = true;
  int sent = 0;
  // Each request beyond the limit is refused by a frame that waits to be sent.
  for (; going_on && sent < 20'000; ++sent) {
    client_.request({{"wait", "1"}});
    going_on = session_->receive(client_.said());
  }
  EXPECT_FALSE(going_on);
  EXPECT_LT(sent, 5'000);
}

TEST_F(Http2SessionTest, ResetsThatAreProvokedCount) {
  limits_.http2_streams = 1'000'000;
  begin();
  ASSERT_TRUE(talk());
  for (int i = 0; i < 3000 && !client_.goaway; ++i) {
    const auto id = client_.request({{"wait", "1"}});
    if (!talk()) break;
    const std::string overflow = client_.window_update(id, 0x7fffffff);
    if (!session_->receive(overflow) || !talk()) break;
    ASSERT_EQ(client_.answers[id].reset, NGHTTP2_FLOW_CONTROL_ERROR);
  }
  EXPECT_TRUE(client_.goaway.has_value());
  EXPECT_LT(seen_.answered, 1500);
}

TEST_F(Http2SessionTest, WhatIsRefusedHoldsNothing) {
  begin();
  client_.give_window(0);
  client_.request({{"expect", "coffee"}, {"x", std::string(20'000, 'x')}});
  ASSERT_TRUE(talk());
  ASSERT_EQ(seen_.refusals, std::vector<int>{417});
  EXPECT_LT(seen_.open.at(0)->request.head.capacity(), 100U);
  EXPECT_EQ(seen_.open.at(0)->request.headers.fields().size(), 0U);
}

TEST_F(Http2SessionTest, LeavesWhenAllIsAnswered) {
  begin();
  const auto waiting = client_.request({{"wait", "1"}});
  ASSERT_TRUE(talk());
  EXPECT_TRUE(session_->drain());
  EXPECT_FALSE(session_->drain());
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.goaway, NGHTTP2_NO_ERROR);
  EXPECT_FALSE(session_->ended());
  ASSERT_EQ(seen_.open.size(), 1U);
  seen_.open[0]->text = "at last";
  seen_.open[0]->respond("200");
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.answers[waiting].body, "at last");
  EXPECT_TRUE(session_->ended());
}

TEST_F(Http2SessionTest, WhatIsNoHttp2CannotBeFollowed) {
  begin();
  EXPECT_FALSE(session_->receive("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

TEST_F(Http2SessionTest, ExpectationsAreMet) {
  begin();
  const std::string half(10, 'h');
  const auto waits = client_.request({{"expect", "100-continue"}}, &half, false);
  const auto odd = client_.request({{"expect", "coffee"}}, &half, false);
  ASSERT_TRUE(talk());
  EXPECT_EQ(client_.answers[waits].status, "100");
  EXPECT_EQ(client_.answers[odd].status, "417");
}

}  // namespace
}  // namespace autoglm::http
