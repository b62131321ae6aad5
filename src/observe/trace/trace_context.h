#pragma once

#include "base/random.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::observe {

/// A call's position in a distributed trace (W3C Trace Context, level 1), and what tracing systems before us
/// have said about it. A value.
struct TraceContext {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  std::uint8_t flags = 0;  ///< bit 0: sampled
  std::string state = {};  ///< `tracestate`, which belongs to others: passed on as it came; empty: none

  /// Reads a `traceparent` header; nothing if it is malformed (the caller then begins a new trace, as the
  /// specification asks).
  static std::optional<TraceContext> parse(std::string_view traceparent);
  /// Takes a `tracestate` header: its first 32 members, and none beyond 512 characters.
  void keep_state(std::string_view tracestate);
  /// Begins a new trace.
  static TraceContext begin(Random& random);
  /// A new span of ours in the same trace, below the caller's span.
  TraceContext child(Random& random) const;

  std::string traceparent() const;
  std::string trace_id_hex() const;
};

/// A fresh request id: 32 hexadecimal digits.
std::string new_request_id(Random& random);

}  // namespace autoglm::observe
