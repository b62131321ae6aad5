// A client's bytes over HTTP/2, in pieces, with answers of several kinds in between: for any input, requests
// are complete and clean, memory is bounded, and every stream is destroyed once.
#include "http/http2_session.h"
#include "fuzzing.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>

namespace {

using namespace autoglm::http;
using autoglm::fuzzing::expect;

constexpr std::string_view kHello("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
constexpr std::size_t kMaxBody = 4096;

/// Counts a session's streams.
struct Count {
  int made = 0;
  int destroyed = 0;
};

/// Answers as the length of the request's target says: at once, in parts, never, or with a cut; with
/// trailers; and reads some bodies while they arrive.
class Stream final : public Http2Stream {
 public:
  Stream(Count& count, std::set<Stream*>& open, Http2Session*& session)
      : count_(count), open_(open), session_(session) {
    ++count_.made;
    open_.insert(this);
  }
  ~Stream() override {
    ++count_.destroyed;
    open_.erase(this);
  }

  void answer() override {
    expect(!answered_, "a request is answered once");
    check();
    answered_ = true;
    const auto kind = request.target.size() % 4;
    if (kind == 2) return;
    const HeaderField fields[] = {{":status", "200"}, {"x", request.path}};
    session_->respond(*this, fields, true);
    if (kind == 3) {
      session_->reset(*this);
      done_ = true;
    } else {
      text_ = request.body;
      if (request.target.size() % 3 == 0) trailers = {{"x-status", "0"}};
      session_->supply(*this, text_, kind == 0);
      parts_ = kind == 1 ? 3 : 0;
      done_ = text_.empty() && kind == 0;
    }
  }
  void refuse(Refusal refusal) override {
    expect(!answered_, "who is answered is not refused");
    expect(refusal.status >= 400 && refusal.status < 600 && !refusal.message.empty(),
           "a refusal has a reason");
    answered_ = true;
    text_ = std::move(refusal.message);
    const HeaderField fields[] = {{":status", "400"}};
    session_->respond(*this, fields, true);
    session_->supply(*this, text_, true);
  }
  void supplied(bool stalled) override {
    expect(answered_, "what is taken was supplied");
    done_ = !stalled && parts_ == 0;
  }
  bool done() const override { return done_; }
  bool reads_pieces() override { return pieces_ = request.target.size() % 5 == 0; }
  void arrived() override { expect(pieces_, "only who reads pieces is told of them"); }

  /// Sends the next part of an answer with several; `supplied` must not do so itself.
  void go_on() {
    if (pieces_ && request.target.size() % 2 == 0) {
      std::string piece;
      session_->take(*this, piece);
      expect(request.body.empty(), "what is taken is gone");
      if (!Http2Session::keep(*this, piece.size())) session_->stop_reading(*this);
    }
    if (parts_ == 0) return;
    --parts_;
    session_->supply(*this, "part", parts_ == 0);
  }

 private:
  void check() const {
    const auto clean = [](std::string_view text) {
      return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
    };
    expect(!request.method.empty() && clean(request.method) && clean(request.target),
           "a request line is one line");
    expect(request.path.starts_with('/') || request.path == "*", "a path has a root");
    for (const auto& [name, value] : request.headers.fields()) {
      expect(!name.empty() && clean(name) && clean(value), "a field is one line");
      expect(name.find_first_of(" \t:ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string_view::npos,
             "a name is a lower token");
    }
    expect(request.headers.count("transfer-encoding") == 0, "no coding is left");
    expect(request.headers.count("content-length") <= 1, "a body has one length");
    if (pieces_) return;  // the body is still to come
    expect(request.body.size() <= kMaxBody, "a body is bounded");
    if (request.framing.kind == BodyFraming::Kind::kLength)
      expect(request.body.size() == request.framing.length, "a body is as long as it said");
  }

  Count& count_;
  std::set<Stream*>& open_;
  Http2Session*& session_;
  std::string text_;
  int parts_ = 0;
  bool pieces_ = false;
  bool answered_ = false;
  bool done_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes = autoglm::fuzzing::text_of(data + 2, size - 2);
  ServerLimits limits;
  limits.head = {.bytes = 2048, .fields = 20};
  limits.body_bytes = kMaxBody;
  limits.http2_streams = 10;
  limits.body_memory = std::make_shared<BodyMemory>(3 * kMaxBody);
  Count count;
  {
    std::set<Stream*> open;
    Http2Session* pointer = nullptr;
    Http2Session session(limits, [&] { return std::make_unique<Stream>(count, open, pointer); });
    pointer = &session;
    std::string out;
    bool going_on = (data[0] & 1U) == 0 || session.receive(kHello);
    const std::size_t step = 1 + data[1] * std::size_t{4};
    for (std::size_t at = 0; going_on && at < bytes.size(); at += step) {
      going_on = session.receive(bytes.substr(at, step));
      out.clear();
      if (going_on) going_on = session.transmit(out, 1 << 16);
      for (Stream* stream : open) stream->go_on();
      expect(session.streams() <= 2 * limits.http2_streams, "so many streams at a time");
      if ((data[0] & 2U) != 0) session.expire(session.next_expiry());
      if ((data[0] & 4U) != 0 && at > bytes.size() / 2) session.drain();
    }
  }
  expect(count.made == count.destroyed, "streams are destroyed, each once");
  expect(limits.body_memory->used() == 0, "memory that was counted is given back");
  return 0;
}
