#include "http/http2_session.h"

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
using Fields = std::vector<std::pair<std::string, std::string>>;

/// The client's end, by the library's own client.
class Client {
 public:
  struct Answer {
    std::string status;
    Fields fields;
    std::string body;
    bool ended = false;
    std::optional<std::uint32_t> reset;
  };

  Client() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks,
        [](nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
           const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* user) {
          Answer& answer = static_cast<Client*>(user)->answers[frame->hd.stream_id];
          const std::string field(reinterpret_cast<const char*>(name), name_size);
          const std::string text(reinterpret_cast<const char*>(value), value_size);
          if (field == ":status") {
            answer.status += text;
          } else {
            answer.fields.emplace_back(field, text);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                      std::size_t size, void* user) {
          static_cast<Client*>(user)->answers[id].body.append(reinterpret_cast<const char*>(data), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          auto& self = *static_cast<Client*>(user);
          if (frame->hd.type == NGHTTP2_GOAWAY) self.goaway = frame->goaway.error_code;
          if (frame->hd.type == NGHTTP2_RST_STREAM)
            self.answers[frame->hd.stream_id].reset = frame->rst_stream.error_code;
          if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
              (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
            self.answers[frame->hd.stream_id].ended = true;
          return 0;
        });
    nghttp2_option* options = nullptr;
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_send_header_block_length(options, 16 * 1024 * 1024);
    nghttp2_option_set_peer_max_concurrent_streams(options, 100'000);
    nghttp2_session_client_new2(&session, callbacks, this, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  }
  ~Client() { nghttp2_session_del(session); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// `body` null: none; a body is sent as far as it goes, and ended if `whole`.
  std::int32_t request(const Fields& more, const std::string* body = nullptr, bool whole = true,
                       const std::string& method = "POST") {
    Fields fields = {
        {":method", method}, {":scheme", "http"}, {":path", "/echo?a=b"}, {":authority", "host"}};
    fields.insert(fields.end(), more.begin(), more.end());
    std::vector<nghttp2_nv> out;
    for (auto& [name, value] : fields)
      out.push_back({reinterpret_cast<std::uint8_t*>(name.data()),
                     reinterpret_cast<std::uint8_t*>(value.data()), name.size(), value.size(),
                     NGHTTP2_NV_FLAG_NONE});
    if (body == nullptr)
      return nghttp2_submit_request(session, nullptr, out.data(), out.size(), nullptr, nullptr);
    bodies.push_back({*body, whole});
    nghttp2_data_provider provider = {
        .source = {.ptr = &bodies.back()},
        .read_callback = [](nghttp2_session*, std::int32_t, std::uint8_t* to, std::size_t size,
                            std::uint32_t* flags, nghttp2_data_source* source, void*) -> ssize_t {
          auto& [rest, ends] = *static_cast<std::pair<std::string, bool>*>(source->ptr);
          const std::size_t count = rest.copy(reinterpret_cast<char*>(to), size);
          rest.erase(0, count);
          if (rest.empty() && ends) *flags |= NGHTTP2_DATA_FLAG_EOF;
          return count == 0 && !ends ? static_cast<ssize_t>(NGHTTP2_ERR_DEFERRED)
                                     : static_cast<ssize_t>(count);
        }};
    return nghttp2_submit_request(session, nullptr, out.data(), out.size(), &provider, nullptr);
  }

  nghttp2_session* session = nullptr;
  std::map<std::int32_t, Answer> answers;
  std::optional<std::uint32_t> goaway;
  std::list<std::pair<std::string, bool>> bodies;
};

class TestStream;

/// What the streams of one session saw.
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

  void respond(const std::string& status) {
    const HeaderField fields[] = {{":status", status}, {"x", "y"}};
    session_->respond(*this, fields, true);
    session_->supply(*this, text, true);
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
  /// Carries bytes until nobody has anything to say. False when the server gave up.
  bool talk() {
    while (true) {
      std::string up;
      while (true) {
        const std::uint8_t* bytes = nullptr;
        const ssize_t count = nghttp2_session_mem_send(client_.session, &bytes);
        if (count <= 0) break;
        up.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
      }
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
  // Its answer is larger than the window that the client has given.
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
  Fields bomb;  // one field, and then a byte for each repetition of it
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
  // The client takes a part of one of them, and nothing of the other.
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
