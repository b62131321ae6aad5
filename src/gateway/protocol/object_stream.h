#pragma once

#include "gateway/protocol/client_codec.h"

#include <simdjson.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol {

/// A streamed answer of JSON objects, each in a server-sent event or on a line of its own: cuts them out of
/// the bytes, and leaves to a protocol what one of them says.
class ObjectStreamReader : public AnswerReader {
 public:
  enum class Framing : std::uint8_t { kEvents, kLines };
  explicit ObjectStreamReader(Framing framing) : framing_(framing) {}

  Result<void> read(std::string& bytes, bool over, EventBatch& batch) final;

 protected:
  /// Appends to `batch` what one object says; sets its usage when the answer is complete.
  virtual Result<void> take(const simdjson::dom::element& object, EventBatch& batch) = 0;
  /// The body is over, and `take` has not said that the answer is. By default it was cut.
  virtual Result<void> end(EventBatch& batch);

 private:
  std::optional<std::string_view> next(const std::string& bytes, std::size_t& at, bool over);

  Framing framing_;
  bool any_ = false;  // object came
  std::size_t searched_ = 0;
  std::string joined_;
};

}  // namespace autoglm::protocol
