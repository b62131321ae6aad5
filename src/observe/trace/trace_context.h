#pragma once

#include "base/random.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::observe {

/// Where a call stands in a distributed trace (W3C Trace Context, level 1). A value.
struct TraceContext {
  std::array<std::uint8_t, 16> trace_id{};
  std::array<std::uint8_t, 8> span_id{};
  std::uint8_t flags = 0;  ///< bit 0: sampled

  /// Reads a `traceparent` header; nothing if it is malformed (then a new trace is begun, as the
  /// specification asks).
  static std::optional<TraceContext> parse(std::string_view traceparent);
  /// A new trace.
  static TraceContext begin(Random& random);
  /// The same trace, a new span: ours, under the caller's.
  TraceContext child(Random& random) const;

  std::string traceparent() const;
  std::string trace_id_hex() const;
};

/// A fresh request id: 32 hexadecimal digits.
std::string new_request_id(Random& random);

}  // namespace autoglm::observe
