#pragma once

#include "http/server.h"

#include <functional>
#include <map>
#include <string>

namespace autoglm::gateway {

/// Keeps what a handler answers.
class RecordingWriter final : public http::ResponseWriter {
 public:
  Task<Result<void>> send(int code, std::string_view content_type, std::string_view bytes) override {
    co_await start(code, content_type);
    body = bytes;
    co_return {};
  }
  Task<Result<void>> start(int code, std::string_view content_type) override {
    status = code;
    type = content_type;
    begun = true;
    co_return {};
  }
  Task<Result<void>> write(std::string_view bytes) override {
    if (on_write) on_write();
    if (writes == takes) co_return fail(ErrorCode::kCancelled, "gone");
    body += bytes;
    ++writes;
    co_return {};
  }
  Task<Result<void>> finish() override {
    finished = true;
    co_return {};
  }
  void add_header(std::string_view name, std::string_view value) override {
    headers[std::string(name)] = value;
  }
  void add_trailer(std::string_view name, std::string_view value) override {
    trailers[std::string(name)] = value;
  }
  bool started() const override { return begun; }
  std::uint64_t bytes_sent() const override { return body.size(); }

  int status = 0;
  std::string type;
  std::string body;
  std::map<std::string, std::string> headers;
  std::map<std::string, std::string> trailers;
  int writes = 0;
  int takes = -1;                  ///< writes, then they fail; -1: they never do
  std::function<void()> on_write;  ///< called before each
  bool begun = false;
  bool finished = false;
};

}  // namespace autoglm::gateway
