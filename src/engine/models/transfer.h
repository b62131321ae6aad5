#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

#include <cstdint>
#include <optional>
#include <string>

namespace autoglm::engine {

/// A note about an unfinished file: which file it is a part of.
struct PartialNote {
  std::string etag{};    ///< a strong one, or empty
  std::string sha256{};  ///< stated by the hub, or empty
  std::optional<std::uint64_t> bytes{};

  /// Whether bytes of a file now listed with `now_sha256` (empty: without a digest) may be appended to the
  /// file that this note describes.
  bool resumable(const std::string& now_sha256) const;

  std::string to_text() const;
  static PartialNote parse(const std::string& text);
};

/// What to do about the head of an answer to a request for a file from `offset` on. Pure.
struct Verdict {
  enum class Step : std::uint8_t {
    kAppend,    ///< the body continues where the file ends
    kRestart,   ///< the body is the whole file, though only the rest was asked for
    kComplete,  ///< the file is complete
    kDiscard,   ///< the bytes here do not match the server's file: begin again
    kRetry,     ///< try again later
    kRefused,   ///< the server will not send the file
  };
  Step step = Step::kRefused;
  std::optional<std::uint64_t> total{};  ///< bytes of the whole file, if the answer says so
  std::optional<std::chrono::seconds> retry_after{};
  std::string etag{};  ///< strong, or empty

  static Verdict of(int status, const http::HeaderView& headers, std::uint64_t offset);
};

/// How long to wait after a failed attempt. Pure.
struct RetryPolicy {
  unsigned attempts = 5;  ///< in a row without any bytes
  Duration first = std::chrono::milliseconds(500);
  Duration longest = std::chrono::seconds(30);
  std::chrono::seconds patience{120};  ///< for a server that says when to come back

  /// The wait before the next attempt, after `failed` in a row; nothing: give up. `jitter` in [0, 1).
  std::optional<Duration> wait(unsigned failed, std::optional<std::chrono::seconds> retry_after,
                               double jitter) const;
};

}  // namespace autoglm::engine
