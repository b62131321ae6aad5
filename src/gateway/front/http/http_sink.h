#pragma once

#include "gateway/front/call/answer_sink.h"
#include "gateway/front/call/call_record.h"
#include "http/server.h"

namespace autoglm::gateway {

/// The answer to a call as an HTTP response. All that it is given must outlive it.
class HttpSink final : public AnswerSink {
 public:
  HttpSink(const http::Request& request, http::ResponseWriter& response, CallRecord& record)
      : request_(request), response_(response), record_(record) {}

  void tell_origin(const Pipeline::Answer& answer, bool streamed) override;
  Task<Result<void>> send(std::string_view content_type, std::string_view body) override {
    return response_.send(200, content_type, body);
  }
  Task<void> refuse(const Error& error, std::string body) override;
  Task<Result<void>> begin(std::string_view content_type) override;
  bool begun() const override { return response_.started(); }
  Task<Result<void>> write(std::string_view bytes) override { return response_.write(bytes); }
  Task<Result<void>> finish() override { return response_.finish(); }

 private:
  const http::Request& request_;
  http::ResponseWriter& response_;
  CallRecord& record_;
};

}  // namespace autoglm::gateway
