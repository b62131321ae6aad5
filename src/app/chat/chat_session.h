#pragma once

#include "app/chat/chat_client.h"
#include "runtime/blocking_pool.h"
#include "runtime/event_loop.h"
#include "runtime/scope.h"
#include "runtime/task.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace autoglm::app {

/// A client and its loop, which runs on the calling thread, only while a task is waited for.
class ChatSession {
 public:
  ChatSession(http::Url api, std::string api_key, std::shared_ptr<const TlsClientContext> tls)
      : client_(std::move(api), std::move(api_key), pool_, std::move(tls)) {}

  ChatClient& client() { return client_; }

  /// Runs the loop until `task` has ended.
  template <class T>
  T run(Task<T> task) {
    std::optional<T> result;
    std::optional<Scope> scope(std::in_place);
    loop_.post([&] { scope->spawn(keep(std::move(task), result, loop_)); });
    loop_.run();
    return std::move(*result);
  }

  /// The number of a signal that asks to stop.
  using Stopped = int;
  /// The same, until SIGINT, SIGTERM or SIGHUP comes: then the task is destroyed.
  std::variant<Result<void>, Stopped> run_until_signal(Task<Result<void>> task);

 private:
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>& result, EventLoop& loop) {
    result.emplace(co_await std::move(task));
    loop.stop();
  }

  EventLoop loop_;
  BlockingPool pool_{2, 16};
  ChatClient client_;
};

}  // namespace autoglm::app
