#include "gateway/front/http/recognition.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

std::optional<std::string_view> key_of(const http::Request& request) {
  constexpr std::string_view kScheme = "Bearer ";
  const auto authorization = request.headers.find("authorization");
  if (authorization && http::equals_ignoring_case(authorization->substr(0, kScheme.size()), kScheme)) {
    const std::size_t begin = authorization->find_first_not_of(' ', kScheme.size());
    if (begin != std::string_view::npos) return authorization->substr(begin);
  }
  for (const std::string_view name : {"x-api-key", "api-key"})
    if (const auto value = request.headers.find(name)) return *value;
  return std::nullopt;
}

Error expired_key() {
  return Error{.code = ErrorCode::kUnauthenticated,
               .origin = Origin::kClient,
               .message = "the key that the request shows has expired; ask the operator for a new one",
               .reason = "expired_api_key"};
}

Error no_such_key(bool shown) {
  return Error{
      .code = ErrorCode::kUnauthenticated,
      .origin = Origin::kClient,
      .message = shown ? "this server does not know the key that the request shows"
                       : "this server asks for a key: send it as Authorization: Bearer KEY, or as x-api-key",
      .reason = shown ? "invalid_api_key" : "missing_api_key"};
}

/// The priority that the request asks for; above 9: it says none that there is.
std::optional<std::uint8_t> asked_priority(const http::Request& request) {
  const auto asked = request.headers.find("x-priority");
  if (!asked) return std::nullopt;
  const bool is_digit = asked->size() == 1 && asked->front() >= '0' && asked->front() <= '9';
  return static_cast<std::uint8_t>(is_digit ? asked->front() - '0' : 10);
}

}  // namespace

std::optional<Error> recognize(const Recognizers& by, const http::Request& request, RequestRecord& record,
                               WallTime now) {
  const auto ring = by.keys != nullptr ? by.keys->get() : nullptr;
  if (!ring || !ring->asks()) return std::nullopt;
  const auto key = key_of(request);
  KeyRing::Match match;
  if (key) {
    match = ring->find(*key, now);
  } else if (request.client_names) {
    match = ring->find_certificate(*request.client_names, now);
  }
  if (match.is_expired) return expired_key();
  record.caller = std::move(match.caller);
  if (!record.caller && key && by.tokens != nullptr && looks_like_token(*key)) {
    auto caller = by.tokens->verify(*key, now);
    if (!caller) return std::move(caller).error();
    record.caller = std::move(*caller);
  }
  if (!record.caller) return no_such_key(key.has_value());
  record.priority = record.caller->priority;
  const auto asked = asked_priority(request);
  if (!asked) return std::nullopt;
  if (*asked > 9) return invalid_field("x-priority", "the header x-priority must be 0 to 9, and 9 is first");
  record.priority = *asked;
  return std::nullopt;
}

void hear_server(LiveGroupShares& shares, const http::Request& request, RequestRecord& record) {
  if (const auto asked = asked_priority(request); asked && *asked <= 9) record.priority = *asked;
  if (const auto told = request.headers.find("x-autoglm-shares")) shares.hear(*told);
  const auto group = request.headers.find("x-autoglm-group");
  if (!group) return;
  record.caller = std::make_shared<const Caller>(
      Caller{.key = {},
             .tenant = std::string(request.headers.find("x-api-key").value_or("")),
             .group = unescaped_group(*group)});
}

}  // namespace autoglm::gateway
