#include "app/chat/chat_client.h"

#include "base/json_string.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <utility>

namespace autoglm::app {

namespace {

namespace json = boost::json;

constexpr std::size_t kMaxBody = 1 << 20;
constexpr auto kListTimeout = std::chrono::seconds(10);
// For a long prompt on a slow machine; an impatient user has Ctrl-C.
constexpr auto kAnswerTimeout = std::chrono::minutes(10);

std::vector<std::string> names_in(std::string_view body) {
  std::vector<std::string> names;
  boost::system::error_code broken;
  const json::value list = json::parse(json::string_view(body.data(), body.size()), broken);
  boost::system::error_code missing;
  const auto* data = broken ? nullptr : list.find_pointer("/data", missing);
  if (data == nullptr || !data->is_array()) return names;
  for (const json::value& model : data->as_array()) {
    const auto* id = model.is_object() ? model.as_object().if_contains("id") : nullptr;
    if (id != nullptr && id->is_string()) names.emplace_back(id->as_string());
  }
  return names;
}

}  // namespace

http::ClientRequest ChatClient::request(std::string method, std::string_view path) const {
  http::ClientRequest request{.method = std::move(method), .url = api_};
  request.url.target += path;
  if (!api_key_.empty()) request.headers.add("Authorization", "Bearer " + api_key_);
  return request;
}

Task<Error> ChatClient::failure_of(http::ClientResponse& response) {
  const std::string retry_after(response.headers().find("retry-after").value_or(""));
  const int status = response.status();
  const auto body = co_await response.read_all(kMaxBody);
  co_return read_failure(status, body ? *body : std::string(), retry_after);
}

Task<Result<std::vector<std::string>>> ChatClient::models() {
  http::ClientRequest asking = request("GET", "/models");
  asking.head_timeout = asking.read_timeout = kListTimeout;
  auto response = co_await client_.send(std::move(asking));
  if (!response) co_return fail(response.error());
  if ((*response)->status() != 200) co_return fail(co_await failure_of(**response));
  const auto body = co_await (*response)->read_all(kMaxBody);
  if (!body) co_return fail(body.error());
  co_return names_in(*body);
}

Task<Result<void>> ChatClient::ask(Question question, Answer& answer,
                                   std::function<void(const AnswerEvent&)> on_piece) {
  http::ClientRequest asking = request("POST", "/chat/completions");
  asking.headers.add("Content-Type", "application/json");
  asking.body = fmt::format(R"({{"messages":{},"stream":true,"stream_options":{{"include_usage":true}})",
                            question.messages);
  if (!question.model.empty()) asking.body += R"(,"model":)" + json_string(question.model);
  if (question.max_tokens > 0) asking.body += fmt::format(R"(,"max_tokens":{})", question.max_tokens);
  asking.body += '}';
  asking.head_timeout = asking.read_timeout = kAnswerTimeout;
  answer.asked = std::chrono::steady_clock::now();
  auto response = co_await client_.send(std::move(asking));
  if (!response) co_return fail(response.error());
  if ((*response)->status() != 200) co_return fail(co_await failure_of(**response));
  std::string buffer;
  while (true) {
    const auto count = co_await (*response)->read(buffer);
    if (!count) co_return fail(count.error());
    while (const auto data = take_event(buffer)) {
      const auto event = read_answer_event(*data);
      if (!event) co_return fail(event.error());
      if (!*event) continue;
      const bool says = !(*event)->content.empty() || !(*event)->reasoning.empty();
      if (says) answer.last = std::chrono::steady_clock::now();
      if (says && answer.first == MonotonicTime()) answer.first = answer.last;
      answer.text += (*event)->content;
      if (!(*event)->finish.empty()) answer.finish = (*event)->finish;
      if ((*event)->tokens) answer.tokens = (*event)->tokens;
      on_piece(**event);
    }
    if (*count == 0) co_return {};
  }
}

}  // namespace autoglm::app
