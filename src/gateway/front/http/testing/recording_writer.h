#pragma once

#include "http/server.h"

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
  bool started() const override { return begun; }
  std::uint64_t bytes_sent() const override { return body.size(); }

  int status = 0;
  std::string type;
  std::string body;
  std::map<std::string, std::string> headers;
  int writes = 0;
  bool begun = false;
  bool finished = false;
};

}  // namespace autoglm::gateway
