#include "observe/trace/trace_context.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace autoglm::observe {

namespace {

constexpr std::string_view kDigits = "0123456789abcdef";
constexpr std::size_t kTraceparentLength = 55;  // of version 00
// What the specification asks everybody to carry at least.
constexpr std::size_t kMostMembers = 32;
constexpr std::size_t kLongestState = 512;

/// Writes two digits per byte; returns the end.
char* put_hex(char* at, std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) {
    *at++ = kDigits[byte >> 4U];
    *at++ = kDigits[byte & 15U];
  }
  return at;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text(2 * bytes.size(), '\0');
  put_hex(text.data(), bytes);
  return text;
}

/// Lower-case digits only, as the specification demands.
bool read_hex(std::string_view text, std::span<std::uint8_t> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto high = kDigits.find(text[2 * i]);
    const auto low = kDigits.find(text[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return false;
    bytes[i] = static_cast<std::uint8_t>(high << 4U | low);
  }
  return true;
}

bool all_zero(std::span<const std::uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

/// Fills at most sixteen bytes.
void fill(std::span<std::uint8_t> bytes, Random& random) {
  do {
    const auto block = random.block();
    std::memcpy(bytes.data(), block.data(), bytes.size());
  } while (all_zero(bytes));
}

}  // namespace

std::optional<TraceContext> TraceContext::parse(std::string_view text) {
  // 00-<32 hex>-<16 hex>-<2 hex>; a later version may append more after another dash.
  if (text.size() < kTraceparentLength || text[2] != '-' || text[35] != '-' || text[52] != '-')
    return std::nullopt;
  std::array<std::uint8_t, 1> version{};
  std::array<std::uint8_t, 1> flags{};
  TraceContext context;
  if (!read_hex(text.substr(0, 2), version) || !read_hex(text.substr(3, 32), context.trace_id) ||
      !read_hex(text.substr(36, 16), context.span_id) || !read_hex(text.substr(53, 2), flags)) {
    return std::nullopt;
  }
  if (version[0] == 0xff || (version[0] == 0 && text.size() != kTraceparentLength) ||
      (text.size() > kTraceparentLength && text[kTraceparentLength] != '-')) {
    return std::nullopt;
  }
  if (all_zero(context.trace_id) || all_zero(context.span_id)) return std::nullopt;
  context.flags = flags[0];
  return context;
}

void TraceContext::keep_state(std::string_view tracestate) {
  std::size_t end = 0;
  for (std::size_t members = 0; members < kMostMembers && end < tracestate.size(); ++members) {
    const std::size_t comma = tracestate.find(',', end == 0 ? 0 : end + 1);
    const std::size_t member_end = std::min(comma, tracestate.size());
    if (member_end > kLongestState) break;
    end = member_end;
  }
  state = tracestate.substr(0, end);
}

TraceContext TraceContext::begin(Random& random) {
  TraceContext context;
  fill(context.trace_id, random);
  fill(context.span_id, random);
  return context;
}

TraceContext TraceContext::child(Random& random) const {
  TraceContext context = *this;
  fill(context.span_id, random);
  return context;
}

std::string TraceContext::traceparent() const {
  std::string text(kTraceparentLength, '-');
  text[0] = text[1] = '0';
  char* at = put_hex(text.data() + 3, trace_id);
  at = put_hex(at + 1, span_id);
  put_hex(at + 1, {&flags, 1});
  return text;
}

std::string TraceContext::trace_id_hex() const { return hex(trace_id); }

std::string new_request_id(Random& random) {
  std::array<std::uint8_t, 16> bytes{};
  fill(bytes, random);
  return hex(bytes);
}

}  // namespace autoglm::observe
