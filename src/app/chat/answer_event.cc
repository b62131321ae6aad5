#include "app/chat/answer_event.h"

#include "base/utf8.h"

#include <fmt/format.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <charconv>

namespace autoglm::app {

namespace {

namespace json = boost::json;

std::string text_at(const json::value& value, std::string_view pointer) {
  boost::system::error_code missing;
  const auto* found = value.find_pointer(pointer, missing);
  return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
}

/// OpenAI's error object, or another value in its place.
std::optional<Error> error_in(const json::value& value) {
  const auto* object = value.if_object();
  const auto* error = object != nullptr ? object->if_contains("error") : nullptr;
  if (error == nullptr || error->is_null()) return std::nullopt;
  Error read{.code = ErrorCode::kUnavailable, .origin = Origin::kEndpoint};
  read.message = text_at(value, "/error/message");
  read.reason = text_at(value, "/error/code");
  if (read.message.empty()) read.message = json::serialize(*error);
  return read;
}

ErrorCode code_of(int status) {
  switch (status) {
    case 401:
      return ErrorCode::kUnauthenticated;
    case 403:
      return ErrorCode::kPermissionDenied;
    case 404:
      return ErrorCode::kNotFound;
    case 429:
      return ErrorCode::kResourceExhausted;
    case 503:
      return ErrorCode::kUnavailable;
    case 504:
      return ErrorCode::kDeadlineExceeded;
    default:
      return status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kBadGateway;
  }
}

}  // namespace

Result<std::optional<AnswerEvent>> read_answer_event(std::string_view data) {
  if (data == "[DONE]") return std::nullopt;
  boost::system::error_code broken;
  const json::value event = json::parse(json::string_view(data.data(), data.size()), broken);
  if (broken || !event.is_object()) {
    return fail(ErrorCode::kBadGateway,
                "the server sent something that is no event of a chat: " + excerpt(data, 80));
  }
  if (auto error = error_in(event)) return fail(std::move(*error));
  AnswerEvent read{.content = text_at(event, "/choices/0/delta/content"),
                   .reasoning = text_at(event, "/choices/0/delta/reasoning_content"),
                   .finish = text_at(event, "/choices/0/finish_reason"),
                   .tokens = std::nullopt};
  boost::system::error_code missing;
  if (const auto* tokens = event.find_pointer("/usage/completion_tokens", missing);
      tokens != nullptr && tokens->is_int64())
    read.tokens = static_cast<std::uint32_t>(tokens->as_int64());
  return read;
}

std::optional<std::string> take_event(std::string& buffer) {
  while (true) {
    const std::size_t lf = buffer.find("\n\n");
    const std::size_t crlf = buffer.find("\r\n\r\n");
    const std::size_t end = std::min(lf, crlf);
    if (end == std::string::npos) return std::nullopt;
    const std::string event = buffer.substr(0, end);
    buffer.erase(0, end + (crlf < lf ? 4 : 2));
    std::optional<std::string> data;
    for (std::size_t at = 0; at < event.size();) {
      std::string_view line = std::string_view(event).substr(at, event.find('\n', at) - at);
      at += line.size() + 1;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (!line.starts_with("data:")) continue;
      line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
      if (data) *data += '\n';
      data = data.value_or("").append(line);
    }
    if (data) return data;
  }
}

Error read_failure(int status, std::string_view body, std::string_view retry_after) {
  boost::system::error_code broken;
  const json::value value = json::parse(json::string_view(body.data(), body.size()), broken);
  const auto told = broken ? std::nullopt : error_in(value);
  Error error = told.value_or(Error{.origin = Origin::kEndpoint});
  error.code = code_of(status);
  if (error.message.empty()) {
    const std::string said = excerpt(body.substr(0, body.find('\n')), 120);
    error.message =
        fmt::format("the server answered with status {}{}{}", status, said.empty() ? "" : ": ", said);
  }
  std::int64_t seconds = 0;
  const auto [end, read] =
      std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds);
  if (read == std::errc() && end == retry_after.data() + retry_after.size() && seconds >= 0)
    error.retry_after = std::chrono::seconds(seconds);
  return error;
}

}  // namespace autoglm::app
