#pragma once

#include "base/result.h"

#include <google/protobuf/message_lite.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::protocol::grpc {

/// What stands before each message: whether it is packed (one byte), and its size (four, the highest first).
constexpr std::size_t kPrefix = 5;

struct Prefix {
  bool packed = false;
  std::uint32_t size = 0;  ///< of what follows
};
/// `bytes` has at least kPrefix. Errors: kInvalidArgument, the flag is neither 0 nor 1.
Result<Prefix> read_prefix(std::string_view bytes);
void append_prefix(std::string& out, Prefix prefix);

/// Appends the message with its prefix.
void append_message(std::string& out, const google::protobuf::MessageLite& message);

/// Reads `bytes` into `message`, whose type the error names. A message in memory may be a hundred times as
/// large as one whose fields are all empty, so their number is bounded. Errors: kInvalidArgument.
Result<void> read_message(std::string_view bytes, google::protobuf::MessageLite& message);

template <class Message>
Result<Message> parse(std::string_view bytes) {
  Message message;
  if (auto read = read_message(bytes, message); !read) return fail(std::move(read).error());
  return message;
}

}  // namespace autoglm::protocol::grpc
