#pragma once

#include "runtime/task.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::http {

/// How the bytes of a body may be compressed (RFC 9110 8.4).
enum class ContentCoding : std::uint8_t { kIdentity, kGzip, kBrotli, kZstd };
std::string_view to_string(ContentCoding coding);

/// The best coding for this Accept-Encoding: by the client's own weights, among equals in the order zstd, br,
/// gzip, by their cost here. kIdentity when no other coding is accepted, or the header is malformed.
ContentCoding choose_coding(std::string_view accept_encoding);

/// Compresses one body piece by piece, at a speed that suits answers made on the fly.
class Encoder {
 public:
  virtual ~Encoder() = default;
  /// Appends the compressed form of the next piece to `out`. False: compression failed.
  virtual bool add(std::string_view piece, bool last, std::string& out) = 0;

  /// For a body of `size` bytes. Null for kIdentity.
  static std::unique_ptr<Encoder> create(ContentCoding coding, std::size_t size);
};

/// Decompresses one body piece by piece. The sender decides how large the output is, so each step is bounded.
class Decoder {
 public:
  static constexpr std::size_t kStep = std::size_t{64} * 1024;

  virtual ~Decoder() = default;
  /// Decompresses from the front of `piece`, removes what it used, and appends at most about `kStep` bytes to
  /// `out`. Call it again as long as it appends. False: the input is not in this coding.
  virtual bool take(std::string_view& piece, std::string& out) = 0;
  /// Whether the input so far is complete.
  virtual bool done() const = 0;

  /// Null for kIdentity.
  static std::unique_ptr<Decoder> create(ContentCoding coding);
};

/// The coding of a Content-Encoding header. Nothing: an unknown coding, or several.
std::optional<ContentCoding> coding_of(std::string_view content_encoding);

/// `body`, compressed. Nothing when it would not get shorter. A long body is compressed piece by piece,
/// letting other tasks of the loop run in between. `body` must outlive the task.
Task<std::optional<std::string>> encode(ContentCoding coding, std::string_view body);

}  // namespace autoglm::http
