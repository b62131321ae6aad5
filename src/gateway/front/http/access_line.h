#pragma once

#include "base/clock.h"
#include "base/terminal.h"
#include "inference/events.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// What an access line says of a request. Views are valid during the call only.
struct AccessFacts {
  std::string_view method;
  std::string_view path;
  int status = 0;
  Duration took{};
  Usage usage;
  std::string_view model;     ///< empty: the request was about none
  std::string_view endpoint;  ///< of a pool: the server that answered
  std::uint32_t attempts = 0;
  std::string_view error;  ///< what the client was told

  // In the JSON form only:
  std::string_view request_id;
  std::array<std::uint8_t, 16> trace_id{};
  std::string_view protocol;  ///< a constant: notes keep the view
  std::string_view peer;
  std::string_view client_identity;
  std::string_view key;  ///< the name of the caller's key
  std::string_view tenant;
  Duration first_token{};
  std::uint64_t bytes = 0;
};

/// "POST /v1/chat/completions 200 1240 ms 27+50 tokens smollm2", short enough for a terminal; a JSON line has
/// the rest. Text from clients is shown without control characters.
std::string access_line(const AccessFacts& facts, const Paint& paint);

}  // namespace autoglm::gateway
