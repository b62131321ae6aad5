#pragma once

#include "runtime/task.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::http {

/// How the bytes of a body may be packed (RFC 9110 8.4).
enum class ContentCoding : std::uint8_t { kIdentity, kGzip, kBrotli, kZstd };
std::string_view to_string(ContentCoding coding);

/// The one to use for who accepts this: the likeliest of the client's own weights, and of equal ones zstd,
/// br, gzip, by what they cost here. kIdentity when none is accepted, or the header is none.
ContentCoding choose_coding(std::string_view accept_encoding);

/// Packs one body, piece by piece, at a speed that suits answers made on the fly.
class Encoder {
 public:
  virtual ~Encoder() = default;
  /// Appends to `out` what the next piece of the body becomes. False: it cannot be packed.
  virtual bool add(std::string_view piece, bool last, std::string& out) = 0;

  /// For a body of `size` bytes. Null for kIdentity.
  static std::unique_ptr<Encoder> create(ContentCoding coding, std::size_t size);
};

/// Unpacks one body, piece by piece. Whoever packs decides how much comes out, so each step is bounded.
class Decoder {
 public:
  static constexpr std::size_t kStep = std::size_t{64} * 1024;

  virtual ~Decoder() = default;
  /// Unpacks from the front of `piece`, which loses what was used, and appends at most about `kStep` bytes to
  /// `out`. Call it again while it appends. False: this is not packed so.
  virtual bool take(std::string_view& piece, std::string& out) = 0;
  /// Whether what has come is whole.
  virtual bool done() const = 0;

  /// Null for kIdentity.
  static std::unique_ptr<Decoder> create(ContentCoding coding);
};

/// What a Content-Encoding names: one coding, or none. Nothing: one that is unknown here, or several.
std::optional<ContentCoding> coding_of(std::string_view content_encoding);

/// `body`, packed. Nothing when it would not get shorter. What is long is packed a piece at a time, with the
/// loop for others in between. `body` must outlive the task.
Task<std::optional<std::string>> encode(ContentCoding coding, std::string_view body);

}  // namespace autoglm::http
