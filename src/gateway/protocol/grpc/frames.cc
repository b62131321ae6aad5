#include "gateway/protocol/grpc/frames.h"

#include <fmt/format.h>
#include <google/protobuf/stubs/logging.h>

#include <array>
#include <limits>

namespace autoglm::protocol::grpc {

namespace {

constexpr std::size_t kMostFields = 65'536;
constexpr unsigned kDepth = 5;            // of messages in messages; ours have four levels
constexpr std::size_t kMostGroups = 100;  // in each other, as the library takes them
constexpr std::size_t kShortest = 9;      // texts have no control characters that could be shorter lengths
constexpr std::uint32_t kLengthType = 2;
constexpr std::uint32_t kGroupType = 3;
constexpr std::uint32_t kGroupEndType = 4;

Error wrong(std::string message) {
  return Error{.code = ErrorCode::kInvalidArgument,
               .origin = Origin::kClient,
               .message = std::move(message),
               .reason = "bad_message"};
}

bool take_varint(std::string_view& bytes, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

/// Reads one field's tag and what it has, but no message inside. `content` is that of a field with a length.
bool take_field(std::string_view& bytes, std::uint32_t& tag, std::string_view& content) {
  std::uint64_t value = 0;
  if (!take_varint(bytes, value)) return false;
  tag = static_cast<std::uint32_t>(value);  // as the library reads it
  if (tag >> 3U == 0) return false;
  std::size_t size = 0;
  switch (tag & 7U) {
    case 0:
      return take_varint(bytes, value);
    case 1:
      size = 8;
      break;
    case kLengthType:
      if (!take_varint(bytes, value) || value > bytes.size()) return false;
      size = static_cast<std::size_t>(value);
      content = bytes.substr(0, size);
      break;
    case kGroupType:
    case kGroupEndType:
      return true;
    case 5:
      size = 4;
      break;
    default:
      return false;
  }
  if (size > bytes.size()) return false;
  bytes.remove_prefix(size);
  return true;
}

/// How many fields `bytes` have as a message with messages and groups inside. What is a text and what a
/// message the bytes do not tell, so a text that reads as a message counts as one. Most texts do not: of
/// bytes that are no message only the shortest fields count, which no text has, since the library would make
/// them before it comes to the fault.
std::size_t count_fields(std::string_view bytes, unsigned depth) {
  std::array<std::uint32_t, kMostGroups> groups;  // those that are open, by their tags
  std::size_t open = 0;
  std::size_t count = 0;
  std::size_t shortest = 0;
  while (!bytes.empty()) {
    std::uint32_t tag = 0;
    std::string_view content;
    if (!take_field(bytes, tag, content)) return shortest;
    ++count;
    if ((tag & 7U) == kGroupType) {
      if (open == groups.size()) return shortest;
      groups[open++] = tag;
    } else if ((tag & 7U) == kGroupEndType) {
      if (open == 0 || groups[--open] + 1 != tag) return shortest;
    } else if ((tag & 7U) == kLengthType) {
      if (content.size() < kShortest) ++shortest;
      if (depth == 0 || content.size() < 2) continue;
      const std::size_t inside = count_fields(content, depth - 1);
      count += inside;
      shortest += inside;
    }
  }
  return open == 0 ? count : shortest;
}

}  // namespace

Result<Prefix> read_prefix(std::string_view bytes) {
  const auto byte = [&](std::size_t at) { return std::uint32_t{static_cast<unsigned char>(bytes[at])}; };
  if (byte(0) > 1) {
    return fail(wrong(fmt::format(
        "a message begins with the byte {}: 0 is a plain one, 1 a packed one; this is no gRPC", byte(0))));
  }
  return Prefix{.packed = byte(0) == 1, .size = byte(1) << 24U | byte(2) << 16U | byte(3) << 8U | byte(4)};
}

void append_prefix(std::string& out, Prefix prefix) {
  out += prefix.packed ? '\1' : '\0';
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out += static_cast<char>(prefix.size >> shift & 0xffU);
}

void append_message(std::string& out, const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  append_prefix(out, {.size = static_cast<std::uint32_t>(size)});
  const std::size_t before = out.size();
  out.resize_and_overwrite(before + size, [&](char* bytes, std::size_t /*length*/) {
    message.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(bytes + before));
    return before + size;  // libstdc++ 12 may offer more than was asked for
  });
}

Result<void> read_message(std::string_view bytes, google::protobuf::MessageLite& message) {
  // Otherwise the library would write a line to stderr for each wrong text that a client sends.
  static auto* const silent = google::protobuf::SetLogHandler(nullptr);
  static_cast<void>(silent);
  if (bytes.size() > kMostFields && count_fields(bytes, kDepth) > kMostFields) {
    return fail(wrong(
        fmt::format("the message has more than {} fields; lists of numbers must be packed", kMostFields)));
  }
  if (bytes.size() <= std::numeric_limits<int>::max() &&
      message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return {};
  return fail(wrong(
      fmt::format("the message is no {}: it is cut, or a text in it is no UTF-8", message.GetTypeName())));
}

}  // namespace autoglm::protocol::grpc
