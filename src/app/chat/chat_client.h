#pragma once

#include "app/chat/answer_event.h"
#include "base/clock.h"
#include "http/client.h"
#include "runtime/event_loop.h"
#include "runtime/task.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::app {

/// An answer, as far as it has arrived.
struct Answer {
  std::string text;
  std::string finish;                   ///< empty: the answer did not reach its end
  std::optional<std::uint32_t> tokens;  ///< as the server counted
  MonotonicTime asked;
  MonotonicTime first{};  ///< when its first piece came
  MonotonicTime last{};
};

/// A client of a server that speaks OpenAI's protocol. On one loop.
class ChatClient {
 public:
  /// `api` is the address up to `/v1`.
  ChatClient(http::Url api, std::string api_key, BlockingPool& pool,
             std::shared_ptr<const TlsClientContext> tls)
      : api_(std::move(api)), api_key_(std::move(api_key)), client_(pool, std::move(tls)) {}

  /// The names of its models, with an Open-AutoGLM server the default one first.
  Task<Result<std::vector<std::string>>> models();

  struct Question {
    std::string messages;          ///< JSON
    std::string model;             ///< empty: the server's default
    std::uint32_t max_tokens = 0;  ///< 0: as many as there is room for
  };
  /// Streams the answer into `answer`, and calls `on_piece` with each event. When the task is destroyed
  /// meanwhile, `answer` keeps what has arrived.
  Task<Result<void>> ask(Question question, Answer& answer, std::function<void(const AnswerEvent&)> on_piece);

 private:
  http::ClientRequest request(std::string method, std::string_view path) const;
  static Task<Error> failure_of(http::ClientResponse& response);

  http::Url api_;
  std::string api_key_;
  http::Client client_;
};

}  // namespace autoglm::app
