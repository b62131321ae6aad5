#include "gateway/protocol/openai/said_error.h"

#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <string>
#include <utility>

namespace autoglm::protocol::openai {

namespace {

using simdjson::dom::element;

std::string string_at(const element& object, std::string_view key) {
  std::string_view text;
  return object[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

/// Whether a refusal is about the gateway's choices, and not about the client's body: the configuration
/// promises the model, and key, path, method and headers are ours.
bool is_about_us(int status, std::string_view param, std::string_view code) {
  switch (status) {
    case 401:
    case 402:
    case 403:
    case 404:
    case 405:
    case 407:
    case 410:
    case 411:
    case 414:
    case 415:
    case 421:
    case 426:
    case 431:
    case 501:
    case 505:
      return true;
    default:
      return status / 100 == 4 && (param == "model" || code == "model_not_found");
  }
}

ErrorCode code_of(int status) {
  switch (status) {
    case 413:
      return ErrorCode::kPayloadTooLarge;
    case 422:
      return ErrorCode::kUnprocessable;
    case 429:
      return ErrorCode::kResourceExhausted;
    case 503:
      return ErrorCode::kUnavailable;
    case 504:
      return ErrorCode::kDeadlineExceeded;
    default:
      return status >= 400 && status < 500 ? ErrorCode::kInvalidArgument : ErrorCode::kBadGateway;
  }
}

/// What a server says in place of an answer.
struct Words {
  std::string message;
  std::string type;
  std::string param;
  std::string code;
  int status = 0;  ///< HTTP's, where the document has one; 0: it has none
};

/// A member that is an HTTP status, as a number or in digits; 0: it is none.
int status_at(const element& object, std::string_view key) {
  std::int64_t number = 0;
  std::string_view digits;
  element said;
  if (object[key].get(said) != simdjson::SUCCESS) return 0;
  if (said.get(digits) == simdjson::SUCCESS) {
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
  } else if (said.get(number) != simdjson::SUCCESS) {
    return 0;
  }
  return number >= 400 && number < 600 ? static_cast<int>(number) : 0;
}

Words words_at(const element& object) {
  Words words{.message = string_at(object, "message"),
              .type = string_at(object, "type"),
              .param = string_at(object, "param"),
              .code = string_at(object, "code")};
  for (const char* key : {"code", "status", "status_code"}) {
    if (words.status == 0) words.status = status_at(object, key);
  }
  if (words.status != 0 && status_at(object, "code") != 0) words.code.clear();
  return words;
}

/// The error in `document`: OpenAI's error object, a text in its place, that object unwrapped (older vLLM),
/// or FastAPI's detail. Nothing: it is no error.
std::optional<Words> words_of(const element& document) {
  element said;
  std::string_view text;
  if (document["error"].get(said) == simdjson::SUCCESS && !said.is_null()) {
    if (said.is_object()) return words_at(said);
    bool flag = true;
    if (said.get(flag) == simdjson::SUCCESS && !flag) return std::nullopt;
    Words words = words_at(document);
    if (said.get(text) == simdjson::SUCCESS) words.message = text;
    return words;
  }
  if (document["object"].get(text) == simdjson::SUCCESS && text == "error") return words_at(document);
  if (document["detail"].get(said) == simdjson::SUCCESS && !said.is_null()) {
    Words words = words_at(document);
    words.message = said.get(text) == simdjson::SUCCESS ? std::string(text) : simdjson::minify(said);
    return words;
  }
  return std::nullopt;
}

std::shared_ptr<const EndpointAnswer> answer_of_type(const std::string& type) {
  if (type.empty()) return nullptr;
  return std::make_shared<const EndpointAnswer>(EndpointAnswer{.type = type});
}

Error error_of(int status, Words words, std::optional<std::chrono::seconds> retry_after) {
  Error error{.code = code_of(status),
              .origin = Origin::kEndpoint,
              .retry = Retry::kElsewhere,
              .message = std::move(words.message),
              .param = std::move(words.param),
              .reason = std::move(words.code),
              .retry_after = retry_after};
  if (error.message.empty()) error.message = fmt::format("the endpoint answered with status {}", status);
  if (is_about_us(status, error.param, error.reason)) {
    error.code = ErrorCode::kBadGateway;
    error.message =
        status == 401 || status == 403
            ? fmt::format("the endpoint refused the gateway's api_key with status {}", status)
            : fmt::format("the endpoint does not serve the model as it is configured (status {}): {}", status,
                          error.message);
    error.param.clear();
    error.reason = kEndpointMisconfigured;
    return error;
  }
  error.said = answer_of_type(words.type);
  if (status == 408 || status == 425) {
    error.code = ErrorCode::kBadGateway;
  } else if (status >= 400 && status < 500 && status != 429) {
    error.origin = Origin::kClient;
    error.retry = Retry::kNever;
  }
  return error;
}

/// The status that an error stands for which came with a status of success; 0: unknown.
int status_of(const Words& words) {
  if (words.status != 0) return words.status;
  for (const std::string_view word : {std::string_view(words.code), std::string_view(words.type)}) {
    if (word.starts_with("rate_limit") || word == "RateLimitError" || word == "insufficient_quota" ||
        word == "too_many_requests" || word == "TooManyRequestsError" || word == "tokens" ||
        word == "requests")
      return 429;
    if (word == "overloaded_error" || word == "unavailable_error" || word == "ServiceUnavailableError")
      return 503;
  }
  // The request is to blame, by the type that OpenAI, llama-server or vLLM give: other servers would say the
  // same.
  return words.type == "invalid_request_error" || words.type == "BadRequestError" ? 400 : 0;
}

}  // namespace

std::optional<Error> error_in(const element& document, const char* or_else) {
  auto words = words_of(document);
  if (!words) return std::nullopt;
  const int status = status_of(*words);
  if (words->message.empty()) words->message = or_else;
  if (status / 100 == 4 || status == 503) return error_of(status, std::move(*words), {});
  return Error{.code = ErrorCode::kBadGateway,
               .origin = Origin::kEndpoint,
               .retry = Retry::kElsewhere,
               .message = std::move(words->message),
               .reason = "endpoint_failed",
               .said = answer_of_type(words->type)};
}

Error error_of_status(int status, const element* document, std::optional<std::chrono::seconds> retry_after) {
  Words words;
  if (document != nullptr) words = words_of(*document).value_or(words_at(*document));
  return error_of(status, std::move(words), retry_after);
}

}  // namespace autoglm::protocol::openai
