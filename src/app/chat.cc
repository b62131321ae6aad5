#include "app/chat.h"

#include "http/client.h"
#include "runtime/scope.h"

#include <fmt/format.h>
#include <unistd.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <cstdio>
#include <iostream>
#include <optional>
#include <utility>

namespace autoglm::app {

namespace {

namespace json = boost::json;

/// The text of one server-sent event of a chat: what it adds, or the error it reports.
Result<std::string> text_of_event(std::string_view data) {
  boost::system::error_code error;
  const json::value event = json::parse(json::string_view(data.data(), data.size()), error);
  if (error || !event.is_object())
    return fail(ErrorCode::kBadGateway, "the server sent something that is no event");
  if (const auto* failure = event.as_object().if_contains("error")) {
    const auto* message = failure->is_object() ? failure->as_object().if_contains("message") : nullptr;
    return fail(ErrorCode::kUnavailable, message != nullptr && message->is_string()
                                             ? std::string(message->as_string())
                                             : json::serialize(*failure));
  }
  boost::system::error_code missing;
  const auto* content = event.find_pointer("/choices/0/delta/content", missing);
  return content != nullptr && content->is_string() ? std::string(content->as_string()) : std::string();
}

class Conversation {
 public:
  Conversation(const ChatOptions& options, http::Url url, BlockingPool& pool,
               std::shared_ptr<const TlsClientContext> tls)
      : options_(options), url_(std::move(url)), client_(pool, std::move(tls)) {
    if (!options.system.empty()) add("system", options.system);
  }

  /// Sends the user's turn, prints the answer as it comes. What failed is not part of the conversation.
  Task<Result<void>> say(std::string text) {
    add("user", std::move(text));
    auto answer = co_await ask();
    if (!answer) {
      messages_.pop_back();
      co_return fail(answer.error());
    }
    add("assistant", std::move(*answer));
    co_return {};
  }

 private:
  void add(std::string_view role, std::string content) {
    messages_.push_back(json::object{{"role", role}, {"content", std::move(content)}});
  }

  Task<Result<std::string>> ask() {
    json::object body{{"messages", messages_}, {"stream", true}};
    if (!options_.model.empty()) body["model"] = options_.model;
    if (options_.max_tokens > 0) body["max_tokens"] = options_.max_tokens;
    http::ClientRequest request{.method = "POST", .url = url_, .body = json::serialize(body)};
    request.headers.add("Content-Type", "application/json");
    if (!options_.api_key.empty()) request.headers.add("Authorization", "Bearer " + options_.api_key);
    request.head_timeout = request.read_timeout = std::chrono::minutes(10);
    auto response = co_await client_.send(std::move(request));
    if (!response) co_return fail(response.error());
    if ((*response)->status() != 200) {
      const auto error = co_await (*response)->read_all(1 << 20);
      if (!error) co_return fail(error.error());
      const auto said = text_of_event(*error);
      co_return fail(
          ErrorCode::kUnavailable,
          said ? fmt::format("status {}: {}", (*response)->status(), *error) : said.error().message);
    }
    co_return co_await print_events(**response);
  }

  static Task<Result<std::string>> print_events(http::ClientResponse& response) {
    std::string answer;
    std::string buffer;
    while (true) {
      const auto count = co_await response.read(buffer);
      if (!count) co_return fail(count.error());
      for (std::size_t end; (end = buffer.find("\n\n")) != std::string::npos; buffer.erase(0, end + 2)) {
        const std::string_view event = std::string_view(buffer).substr(0, end);
        const std::size_t data = event.find("data: ");
        if (data == std::string_view::npos || event.substr(data) == "data: [DONE]") continue;
        const auto text = text_of_event(event.substr(data + 6));
        if (!text) co_return fail(text.error());
        answer += *text;
        fmt::print("{}", *text);
        std::fflush(stdout);
      }
      if (*count == 0) break;
    }
    fmt::print("\n");
    co_return answer;
  }

  const ChatOptions& options_;
  http::Url url_;
  http::Client client_;
  json::array messages_;
};

std::optional<std::string> read_line(bool prompt) {
  if (prompt) {
    fmt::print("\n> ");
    std::fflush(stdout);
  }
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  return line;
}

Task<int> converse(const ChatOptions& options, http::Url url, BlockingPool& pool,
                   std::shared_ptr<const TlsClientContext> tls) {
  Conversation conversation(options, std::move(url), pool, std::move(tls));
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  if (terminal) fmt::print("Talking to {}. An empty line or Ctrl-D ends.\n", options.url);
  int code = 0;
  while (true) {
    auto line = co_await pool.run([terminal] { return read_line(terminal); });
    if (!line || !*line || (terminal && (*line)->empty())) co_return code;
    if ((*line)->empty()) continue;
    if (auto said = co_await conversation.say(std::move(**line)); !said) {
      fmt::print(stderr, "open-autoglm: {}\n", said.error().message);
      code = 1;
      if (!terminal) co_return code;
    }
  }
}

}  // namespace

int chat(const ChatOptions& options) {
  auto url = http::Url::parse(options.url);
  if (!url) {
    fmt::print(stderr, "open-autoglm: --url: {}\n", url.error().message);
    return 2;
  }
  while (url->target.ends_with('/')) url->target.pop_back();
  if (url->target.ends_with("/v1")) url->target.resize(url->target.size() - 3);
  url->target += "/v1/chat/completions";
  std::shared_ptr<const TlsClientContext> tls;
  if (url->tls) {
    auto made = TlsClientContext::create();
    if (!made) {
      fmt::print(stderr, "open-autoglm: {}\n", made.error().message);
      return 1;
    }
    tls = std::move(*made);
  }
  EventLoop loop;
  BlockingPool pool(2, 16);
  int code = 0;
  {
    std::optional<Scope> scope(std::in_place);
    loop.post([&] {
      scope->spawn([](const ChatOptions& how, http::Url where, BlockingPool& on,
                      std::shared_ptr<const TlsClientContext> with, EventLoop& until,
                      int& result) -> Task<void> {
        result = co_await converse(how, std::move(where), on, std::move(with));
        until.stop();
      }(options, *url, pool, tls, loop, code));
    });
    loop.run();
  }
  return code;
}

}  // namespace autoglm::app
