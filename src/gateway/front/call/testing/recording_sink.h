#pragma once

#include "gateway/front/call/answer_sink.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::gateway {

/// Keeps what a call answers. Set up when its client goes away before use.
class RecordingSink final : public AnswerSink {
 public:
  /// How many writes the client takes before it is gone.
  std::size_t takes = 1000;

  void tell_origin(const Pipeline::Answer& answer, bool /*streamed*/) override { model = answer.model; }
  Task<Result<void>> send(std::string_view type, std::string_view body) override {
    content_type = type;
    co_return take(body);
  }
  Task<void> refuse(const Error& error, std::string body) override {
    refusal = error;
    refusal_body = std::move(body);
    co_return;
  }
  Task<Result<void>> begin(std::string_view type) override {
    content_type = type;
    is_begun = true;
    co_return Result<void>();
  }
  bool begun() const override { return is_begun; }
  Task<Result<void>> write(std::string_view bytes) override { co_return take(bytes); }
  Task<Result<void>> finish() override {
    finished = true;
    co_return Result<void>();
  }

  std::string model;
  std::string content_type;
  std::vector<std::string> writes;
  std::optional<Error> refusal;
  std::string refusal_body;
  bool is_begun = false;
  bool finished = false;

 private:
  Result<void> take(std::string_view bytes) {
    if (writes.size() >= takes) return fail(Error{.code = ErrorCode::kUnavailable, .message = "gone"});
    writes.emplace_back(bytes);
    return {};
  }
};

}  // namespace autoglm::gateway
