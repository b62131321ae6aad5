#include "app/chat/advice.h"

#include <fmt/format.h>

namespace autoglm::app {

std::string advice(const Error& error, std::string_view url) {
  if (error.reason == "connect_failed") {
    return fmt::format(
        "Nothing answers at {}. Start a server with `open-autoglm serve`, or name another one with --url.",
        url);
  }
  if (error.reason == "context_length_exceeded") return "/reset begins a new conversation.";
  switch (error.code) {
    case ErrorCode::kUnauthenticated:
    case ErrorCode::kPermissionDenied:
      return "Give a key with --api-key or OPENAI_API_KEY.";
    case ErrorCode::kNotFound:
      return "/model lists what there is.";
    case ErrorCode::kResourceExhausted:
    case ErrorCode::kUnavailable:
      return error.retry_after ? fmt::format("Try again in {} s.", error.retry_after->count()) : "";
    default:
      return "";
  }
}

}  // namespace autoglm::app
