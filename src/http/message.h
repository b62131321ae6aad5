#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::http {

class RequestBody;

/// Why a message is refused: the status to answer with, and the text. After broken framing the byte stream
/// cannot be followed any further, so the connection then closes.
struct Refusal {
  int status = 400;
  std::string message;
};
template <class T>
using Parsed = std::expected<T, Refusal>;

/// For texts of one length.
bool same_letters(std::string_view a, std::string_view b);
/// Most names that are compared differ in their length already.
inline bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && same_letters(a, b);
}
/// Whether the comma-separated list `value` has the token `token`, in any case.
bool list_contains(std::string_view value, std::string_view token);

/// Header fields in their order; names compare without case. Views into text that the message owns.
class HeaderView {
 public:
  void add(std::string_view name, std::string_view value) {
    if (fields_.capacity() == 0) fields_.reserve(16);  // enough for nearly all messages
    fields_.emplace_back(name, value);
  }
  /// The first value; nullopt when absent.
  std::optional<std::string_view> find(std::string_view name) const;
  std::size_t count(std::string_view name) const;
  const std::vector<std::pair<std::string_view, std::string_view>>& fields() const { return fields_; }

 private:
  std::vector<std::pair<std::string_view, std::string_view>> fields_;
};

/// How the end of a body is recognized.
struct BodyFraming {
  enum class Kind : std::uint8_t { kNone, kLength, kChunked, kUntilClose } kind = Kind::kNone;
  std::uint64_t length = 0;  ///< of kLength
};

/// A request, complete unless its body is still `arriving`. Owns its bytes; may be moved only while no views
/// into it are in use.
struct Request {
  std::string head;  ///< the bytes that the views below point into
  std::string_view method;
  std::string_view target;  ///< as sent
  std::string_view path;    ///< without query, not decoded
  std::string_view query;   ///< without '?'
  HeaderView headers;
  int major_version = 1;
  int minor_version = 1;
  bool keep_alive = true;  ///< for HTTP/1.x
  bool expects_continue = false;
  BodyFraming framing;
  std::string body;
  RequestBody* arriving = nullptr;  ///< where to read the body, piece by piece; null: `body` is all of it
  std::string peer;                 ///< "address:port" of the client
  std::string client_identity;      ///< from its verified certificate; empty: it has shown none
  /// All names of that certificate: "uri:…", "dns:…", "cn:…"; null: it has shown none.
  std::shared_ptr<const std::vector<std::string>> client_names;

  /// "HTTP/1.1", as logs show it.
  std::string_view protocol() const {
    if (major_version == 2) return "HTTP/2";
    return minor_version == 1 ? "HTTP/1.1" : "HTTP/1.0";
  }

  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
};

/// The head of a response, as a client reads it.
struct ResponseHead {
  std::string head;
  int status = 0;
  HeaderView headers;
  int minor_version = 1;
  bool keep_alive = true;
  BodyFraming framing;

  ResponseHead() = default;
  ResponseHead(const ResponseHead&) = delete;
  ResponseHead& operator=(const ResponseHead&) = delete;
};

/// Whether an answer of this status ends with its head, whatever its fields say (RFC 9110, 6.4.1).
constexpr bool ends_with_head(int status) { return status / 100 == 1 || status == 204 || status == 304; }

/// "Not Found" for 404; "Unknown" for a status that RFC 9110 does not name.
std::string_view reason_phrase(int status);

/// `text` as a part of a URL: all but letters, digits and -._~ as `%41`.
std::string percent_encode(std::string_view text);
/// Decodes `%41` to `A`; nothing when malformed.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace autoglm::http
