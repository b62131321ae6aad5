#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

#include <cstdint>
#include <optional>
#include <string>

namespace autoglm::engine {

/// What is known of an unfinished file beside its bytes: which file it is a part of.
struct PartialNote {
  std::string etag{};    ///< a strong one, or empty
  std::string sha256{};  ///< that the hub states, or empty
  std::optional<std::uint64_t> bytes{};

  /// Whether more of a file that is now listed with `now_sha256` (empty: with none) may be put behind
  /// what this describes.
  bool resumable(const std::string& now_sha256) const;

  std::string to_text() const;
  static PartialNote parse(const std::string& text);
};

/// What to do with the head of an answer to a request for a file from `offset` on. Pure.
struct Verdict {
  enum class Step : std::uint8_t {
    kAppend,    ///< the body goes on where the file ends
    kRestart,   ///< the body is the file from its beginning, though more was asked for
    kComplete,  ///< there is nothing more to come
    kDiscard,   ///< what is here fits to nothing there: begin again
    kRetry,     ///< later
    kRefused,   ///< nothing will come
  };
  Step step = Step::kRefused;
  std::optional<std::uint64_t> total{};  ///< bytes of the whole file, where the answer says so
  std::optional<std::chrono::seconds> retry_after{};
  std::string etag{};  ///< strong, or empty

  static Verdict of(int status, const http::HeaderView& headers, std::uint64_t offset);
};

/// How long attempts that fail wait for the next one. Pure.
struct RetryPolicy {
  unsigned attempts = 5;  ///< in a row that bring nothing
  Duration first = std::chrono::milliseconds(500);
  Duration longest = std::chrono::seconds(30);
  std::chrono::seconds patience{120};  ///< with a server that says when to come back

  /// Before the next attempt, after `failed` in a row; nothing: give up. `jitter` in [0, 1).
  std::optional<Duration> wait(unsigned failed, std::optional<std::chrono::seconds> retry_after,
                               double jitter) const;
};

}  // namespace autoglm::engine
