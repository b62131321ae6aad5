// A connection's bytes, as a server reads them: heads, bodies, pipelining. The messages must not depend on
// where the network cuts the bytes, and nothing in a head may end a line.
#include "fuzzing.h"
#include "http/chunked.h"
#include "http/head_parser.h"

#include <algorithm>
#include <string>
#include <vector>

namespace {

using namespace autoglm::http;
using autoglm::fuzzing::expect;

constexpr HeadLimits kLimits{.bytes = 2048, .fields = 20};
constexpr std::size_t kMaxBody = 4096;

/// Reads messages from pieces and logs what it understood.
class Reader {
 public:
  void feed(std::string_view bytes) {
    buffer_ += bytes;
    while (!refused_ && step()) {
    }
  }
  const std::vector<std::string>& log() const { return log_; }

 private:
  bool step() { return in_body_ ? body() : head(); }

  bool head() {
    const auto length = scanner_.scan(buffer_);
    if (!length) return refuse(length.error());
    if (!*length) return false;
    Request request;
    std::string head = buffer_.substr(0, **length);
    buffer_.erase(0, **length);
    scanner_.reset();
    if (auto parsed = parse_request_head(std::move(head), kLimits, request); !parsed)
      return refuse(parsed.error());
    check(request);
    log_.push_back(std::string(request.method) + ' ' + std::string(request.target));
    for (const auto& [name, value] : request.headers.fields())
      log_.push_back(std::string(name) + ": " + std::string(value));
    framing_ = request.framing;
    decoder_ = {};
    body_.clear();
    in_body_ = true;
    return true;
  }

  bool body() {
    using Kind = BodyFraming::Kind;
    if (framing_.kind == Kind::kChunked) {
      const auto used = decoder_.decode(buffer_, body_);
      if (!used) return refuse(used.error());
      expect(*used <= buffer_.size(), "a decoder uses what it was given");
      buffer_.erase(0, *used);
      if (!decoder_.done()) return false;
    } else if (framing_.kind == Kind::kLength) {
      if (framing_.length > kMaxBody) return refuse({413, "too large"});
      if (buffer_.size() < framing_.length) return false;
      body_ = buffer_.substr(0, framing_.length);
      buffer_.erase(0, framing_.length);
    } else {
      expect(framing_.kind == Kind::kNone, "a request's body does not end with its connection");
    }
    log_.push_back("body " + body_);
    in_body_ = false;
    return true;
  }

  static void check(const Request& request) {
    const auto clean = [](std::string_view text) {
      return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
    };
    expect(clean(request.method) && clean(request.target), "a request line is one line");
    for (const auto& [name, value] : request.headers.fields()) {
      expect(!name.empty() && clean(name) && clean(value), "a field is one line");
      expect(name.find_first_of(" \t:") == std::string_view::npos, "a name is a token");
    }
    const auto lengths = request.headers.count("content-length");
    const auto codings = request.headers.count("transfer-encoding");
    expect(lengths + codings <= 1, "a body has one end");
    expect(request.minor_version == 0 || request.headers.count("host") == 1, "one Host");
  }

  bool refuse(const Refusal& refusal) {
    expect(refusal.status >= 400 && refusal.status < 600 && !refusal.message.empty(),
           "a refusal has a status and a reason");
    log_.push_back("refused " + std::to_string(refusal.status));
    refused_ = true;
    return false;
  }

  std::string buffer_;
  HeadScanner scanner_{kLimits.bytes};
  ChunkedDecoder decoder_;
  BodyFraming framing_;
  std::string body_;
  std::vector<std::string> log_;
  bool in_body_ = false;
  bool refused_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes = autoglm::fuzzing::text_of(data + 1, size - 1);
  Reader whole;
  whole.feed(bytes);
  Reader pieces;
  const std::size_t step = 1 + data[0] % 17U;
  for (std::size_t at = 0; at < bytes.size(); at += step) pieces.feed(bytes.substr(at, step));
  // Bytes after a refusal are not read, so both logs end alike.
  expect(whole.log() == pieces.log(), "messages do not depend on where the network cuts");
  return 0;
}
