#include "engine/models/transfer.h"

#include "http/retry_after.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>

namespace autoglm::engine {

namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// "bytes 10-19/20", "bytes */20".
struct ContentRange {
  std::optional<std::uint64_t> first{};
  std::optional<std::uint64_t> total{};
};

ContentRange content_range(const http::HeaderView& headers) {
  const std::string_view text = headers.find("content-range").value_or("");
  constexpr std::string_view kUnit = "bytes ";
  const std::size_t slash = text.find('/');
  if (!text.starts_with(kUnit) || slash == std::string_view::npos) return {};
  const std::string_view range = text.substr(kUnit.size(), slash - kUnit.size());
  return {.first = number(range.substr(0, range.find('-'))), .total = number(text.substr(slash + 1))};
}

std::string strong_etag(const http::HeaderView& headers) {
  const std::string_view etag = headers.find("etag").value_or("");
  return etag.size() > 2 && etag.size() < 200 && etag.starts_with('"') && etag.ends_with('"')
             ? std::string(etag)
             : std::string();
}

bool is_passing(int status) {
  return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

}  // namespace

bool PartialNote::resumable(const std::string& now_sha256) const {
  // An equal digest means equal content; without one the server must say whether the file is the same.
  if (!now_sha256.empty()) return sha256 == now_sha256;
  return !sha256.empty() || !etag.empty();
}

std::string PartialNote::to_text() const {
  return fmt::format("etag {}\nsha256 {}\nbytes {}\n", etag, sha256, bytes ? std::to_string(*bytes) : "");
}

PartialNote PartialNote::parse(const std::string& text) {
  PartialNote note;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string value = space < line.size() ? line.substr(space + 1) : "";
    if (line.starts_with("etag ")) note.etag = value;
    if (line.starts_with("sha256 ")) note.sha256 = value;
    if (line.starts_with("bytes ")) note.bytes = number(value);
  }
  return note;
}

Verdict Verdict::of(int status, const http::HeaderView& headers, std::uint64_t offset) {
  using enum Step;
  Verdict verdict{.etag = strong_etag(headers)};
  const ContentRange range = content_range(headers);
  if (status == 200) {
    verdict.step = offset == 0 ? kAppend : kRestart;
    if (const auto length = headers.find("content-length")) verdict.total = number(*length);
  } else if (status == 206) {
    verdict.total = range.total;
    verdict.step = range.first == offset ? kAppend : kDiscard;
  } else if (status == 416) {
    verdict.total = range.total;
    verdict.step = offset == 0 ? kRefused : range.total == offset ? kComplete : kDiscard;
  } else if (is_passing(status)) {
    verdict.step = kRetry;
    verdict.retry_after = http::retry_after(headers);
  }
  return verdict;
}

std::optional<Duration> RetryPolicy::wait(unsigned failed, std::optional<std::chrono::seconds> retry_after,
                                          double jitter) const {
  if (failed >= attempts) return std::nullopt;
  if (retry_after) {
    if (*retry_after > patience) return std::nullopt;
    return *retry_after;
  }
  const Duration doubled = first * (std::int64_t{1} << std::min(failed == 0 ? 0U : failed - 1, 20U));
  const Duration base = std::min(doubled, longest);
  // Jitter: clients that were cut off together must not come back together.
  return std::chrono::duration_cast<Duration>(base * (0.75 + 0.5 * jitter));
}

}  // namespace autoglm::engine
