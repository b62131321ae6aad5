#pragma once

#include "base/clock.h"
#include "base/error.h"
#include "gateway/front/call/call_record.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace autoglm::gateway {

struct Recognizers;

/// The facts of one request, for the access log and the metrics: those of its call, and what the front says
/// of it at its beginning and end. Its views are valid as long as the request. Belongs to the request's loop.
struct RequestRecord : CallRecord {
  std::string_view method;
  std::string_view path;
  std::string_view protocol;
  std::string_view peer;
  std::string_view client_identity;
  MonotonicTime began;
  std::uint64_t bytes = 0;  ///< sent to the client, heads included
  /// Why the client may not go on, for a route that says it itself; rare, and so no part of each record.
  std::shared_ptr<const Error> refusal = nullptr;
  /// By what the caller was recognized; null: by nothing. Of the front.
  const Recognizers* recognizers = nullptr;

  /// The status that logs and metrics show.
  int shown_status() const {
    const bool gone = status == 0 || (status == 200 && !complete);
    return gone && error.empty() ? 499 : status;
  }
};

}  // namespace autoglm::gateway
