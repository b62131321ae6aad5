#pragma once

#include "gateway/front/http/testing/recording_writer.h"
#include "gateway/protocol/grpc/frames.h"
#include "http/head_parser.h"
#include "http/request_body.h"
#include "runtime/signal.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway::grpc {

/// A body that arrives in pieces of a size, and ends there or stays open.
class FakeBody final : public http::RequestBody {
 public:
  Task<Result<bool>> read_some(std::string& to) override {
    while (bytes.empty()) {
      if (ends) co_return false;
      news.clear();
      co_await news.wait();
    }
    const std::size_t size = std::min(piece, bytes.size());
    to += bytes.substr(0, size);
    bytes.erase(0, size);
    co_return true;
  }
  bool keep(std::size_t size) override {
    kept = size;
    return size <= memory;
  }
  std::size_t most() const override { return largest; }

  void add(std::string_view more) {
    bytes += more;
    news.set();
  }
  void end() {
    ends = true;
    news.set();
  }

  std::string bytes;
  bool ends = false;
  std::size_t piece = 1'000'000;
  std::size_t largest = 1'000'000;
  std::size_t memory = 10'000'000;
  std::size_t kept = 0;
  Signal news;
};

/// A request of gRPC, and what it is answered.
struct FakeCall {
  explicit FakeCall(std::string_view path, const std::string& headers = "") {
    const auto parsed = http::parse_request_head(
        "POST " + std::string(path) +
            " HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\nTE: trailers\r\n" + headers + "\r\n",
        {}, request);
    static_cast<void>(parsed.value());
    request.arriving = &body;
  }

  FakeCall& say(const google::protobuf::MessageLite& message) {
    std::string bytes;
    protocol::grpc::append_message(bytes, message);
    body.add(bytes);
    return *this;
  }

  template <class Message>
  std::vector<Message> answers() const {
    std::vector<Message> read;
    std::string_view bytes = writer.body;
    while (!bytes.empty()) {
      const std::size_t size = protocol::grpc::read_prefix(bytes).value().size;
      read.push_back(protocol::grpc::parse<Message>(bytes.substr(protocol::grpc::kPrefix, size)).value());
      bytes.remove_prefix(protocol::grpc::kPrefix + size);
    }
    return read;
  }
  /// A field of the status, wherever it is; empty: absent.
  std::string told(const std::string& name) const {
    for (const auto* fields : {&writer.trailers, &writer.headers})
      if (const auto found = fields->find(name); found != fields->end()) return found->second;
    return {};
  }
  std::string status() const { return told("grpc-status"); }
  std::string message() const { return told("grpc-message"); }

  http::Request request;
  FakeBody body;
  RecordingWriter writer;
};

}  // namespace autoglm::gateway::grpc
