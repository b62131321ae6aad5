#include "gateway/front/http/access_line.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <iterator>

namespace autoglm::gateway {

namespace {

// The beginning of a long path or message says enough.
constexpr std::size_t kLongest = 100;

std::string printable(std::string_view text) {
  std::string out;
  append_printable(out, excerpt(text, kLongest));
  return out;
}

std::string status_text(int status, const Paint& paint) {
  const std::string text = std::to_string(status);
  if (status >= 500) return paint(Style::kRed, text);
  if (status >= 400) return paint(Style::kYellow, text);
  return paint(Style::kGreen, text);
}

}  // namespace

std::string access_line(const AccessFacts& facts, const Paint& paint) {
  const double milliseconds = 1000 * to_seconds(facts.took);
  std::string line = fmt::format("{} {} {} {:.{}f} ms", facts.method, printable(facts.path),
                                 status_text(facts.status, paint), milliseconds,
                                 milliseconds < 1    ? 2
                                 : milliseconds < 10 ? 1
                                                     : 0);
  const auto out = std::back_inserter(line);
  if (facts.usage.prompt_tokens + facts.usage.completion_tokens > 0)
    fmt::format_to(out, " {}+{} tokens", facts.usage.prompt_tokens, facts.usage.completion_tokens);
  if (!facts.model.empty()) fmt::format_to(out, " {}", printable(facts.model));
  if (!facts.endpoint.empty()) fmt::format_to(out, " at {}", printable(facts.endpoint));
  if (facts.attempts > 1) fmt::format_to(out, " ({} attempts)", facts.attempts);
  if (!facts.error.empty()) fmt::format_to(out, " {}", paint(Style::kDim, printable(facts.error)));
  return line;
}

}  // namespace autoglm::gateway
