#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace autoglm::redis {

/// What a server has answered to a command. A value.
struct Reply {
  enum class Kind : std::uint8_t {
    kNothing,  ///< Redis' nil
    kText,     ///< a string or a status
    kInteger,
    kArray,
    kError,  ///< `text` begins with its code: "NOSCRIPT No matching script…"
  };

  Kind kind = Kind::kNothing;
  std::int64_t integer = 0;
  std::string text;
  std::vector<Reply> elements;

  bool is_error() const { return kind == Kind::kError; }
  /// An error whose code is `code`; also one that a script has passed on, as Redis before version 7 writes
  /// it.
  bool is_error(std::string_view code) const;
};

/// Takes replies (RESP2) out of bytes as they arrive, with hiredis. Not thread-safe.
class ReplyReader {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20U;  ///< of one reply
  static constexpr std::size_t kMostElements = 4096;                ///< of one array

  ReplyReader();
  /// Errors: kBadGateway, for bytes that are no reply or a reply that is too large. Nothing follows it.
  Result<void> feed(std::string_view bytes);
  /// The next whole reply; nothing: it has not arrived. Errors: as above.
  Result<std::optional<Reply>> next();

 private:
  struct Free {
    void operator()(redisReader* reader) const;
  };
  std::unique_ptr<redisReader, Free> reader_;
  std::size_t since_reply_ = 0;
};

/// A command as Redis reads it.
std::string format_command(std::span<const std::string_view> words);

}  // namespace autoglm::redis
