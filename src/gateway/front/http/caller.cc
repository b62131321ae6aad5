#include "gateway/front/http/caller.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::int64_t kLongestWait = std::int64_t{7} * 24 * 3600 * 1000;  // a week, in milliseconds

}  // namespace

std::string tenant_of(const http::Request& request) {
  if (!request.client_identity.empty()) return "certificate:" + request.client_identity;
  for (const std::string_view name : {"authorization", "x-api-key"}) {
    if (const auto value = request.headers.find(name)) return std::string("key:").append(*value);
  }
  return {};
}

Deadline deadline_of(const http::Request& request) {
  const auto text = request.headers.find("x-autoglm-timeout-ms");
  std::int64_t milliseconds = 0;
  if (!text) return Deadline::never();
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), milliseconds);
  if (error != std::errc() || end != text->data() + text->size() || milliseconds < 0)
    return Deadline::never();
  return Deadline::after(std::chrono::milliseconds(std::min(milliseconds, kLongestWait)));
}

std::string tenant_of(const http::Request& request, const CallRecord& record) {
  return record.caller ? "tenant:" + record.caller->tenant : tenant_of(request);
}

std::string owner_of(const http::Request& request, const CallRecord& record) {
  return record.caller ? "caller:" + record.caller->key : tenant_of(request);
}

CallContext context_of(const http::Request& request, const CallRecord& record) {
  return {.deadline = deadline_of(request),
          .tenant = tenant_of(request, record),
          .priority = record.priority,
          .span = record.span,
          .caller = record.caller};
}

IncomingCall incoming_call(http::Request& request, const CallRecord& record) {
  return {.body = std::move(request.body),
          .query = std::string(request.query),
          .deadline = deadline_of(request),
          .tenant = tenant_of(request, record),
          .priority = record.priority,
          .tells_usage = request.headers.find("x-autoglm-tell-usage").has_value()};
}

}  // namespace autoglm::gateway
