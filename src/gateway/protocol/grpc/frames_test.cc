#include "gateway/protocol/grpc/frames.h"

#include <gtest/gtest.h>
#include <openautoglm/v1/inference.pb.h>

namespace autoglm::protocol::grpc {
namespace {

namespace v1 = ::openautoglm::v1;

TEST(GrpcFrames, AMessageFollowsItsLength) {
  v1::DetokenizeResponse message;
  message.set_text(std::string(300, 'x'));
  std::string bytes = "before";
  append_message(bytes, message);
  const auto prefix = read_prefix(std::string_view(bytes).substr(6));
  ASSERT_TRUE(prefix);
  EXPECT_FALSE(prefix->packed);
  EXPECT_EQ(prefix->size, bytes.size() - 6 - kPrefix);
  const auto read = parse<v1::DetokenizeResponse>(std::string_view(bytes).substr(6 + kPrefix));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->text(), message.text());
}

TEST(GrpcFrames, AnEmptyMessageHasOnlyItsPrefix) {
  std::string bytes;
  append_message(bytes, v1::ModelsRequest());
  EXPECT_EQ(bytes, std::string(kPrefix, '\0'));
}

TEST(GrpcFrames, OtherFlagsAreNoGrpc) {
  EXPECT_EQ(read_prefix("POST ").error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(read_prefix(std::string_view("\1\0\0\0\5", 5))->packed);
}

TEST(GrpcFrames, AMessageThatIsCutIsNone) {
  v1::DetokenizeResponse message;
  message.set_text("some text");
  const std::string whole = message.SerializeAsString();
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const auto read = parse<v1::DetokenizeResponse>(whole.substr(0, size));
    ASSERT_FALSE(read) << size;
    EXPECT_NE(read.error().message.find("openautoglm.v1.DetokenizeResponse"), std::string::npos)
        << read.error().message;
  }
}

TEST(GrpcFrames, ATextThatIsNoUtf8IsRefused) {
  EXPECT_FALSE(parse<v1::DetokenizeResponse>("\x0a\x02\xff\xfe"));
}

/// Two bytes a message, which take a hundred in memory.
TEST(GrpcFrames, TooManyFieldsAreRefusedBeforeTheyAreRead) {
  std::string messages;
  for (int i = 0; i < 70'000; ++i) messages += std::string("\x12\x00", 2);
  const auto chat = parse<v1::ChatRequest>(messages);
  ASSERT_FALSE(chat);
  EXPECT_NE(chat.error().message.find("65536 fields"), std::string::npos) << chat.error().message;
  // One level down.
  std::string nested = "\x1a";
  for (std::size_t size = messages.size(); size > 0; size >>= 7U)
    nested += static_cast<char>((size & 0x7fU) | (size > 0x7f ? 0x80U : 0U));
  EXPECT_FALSE(parse<v1::TokenizeRequest>(nested + messages));
}

/// Groups are no part of these messages, but the library takes them as unknown fields.
TEST(GrpcFrames, AGroupOrAFaultHidesNoFields) {
  std::string messages;
  for (int i = 0; i < 70'000; ++i) messages += std::string("\x12\x00", 2);
  for (const std::string& bytes :
       {messages + "\x7b\x7c", "\x7b" + messages + "\x7c", messages + "\x7b", messages + "\x7f"}) {
    const auto chat = parse<v1::ChatRequest>(bytes);
    ASSERT_FALSE(chat);
    EXPECT_NE(chat.error().message.find("65536 fields"), std::string::npos) << chat.error().message;
  }
  EXPECT_TRUE(parse<v1::ChatRequest>("\x7b\x7c"));
  v1::GenerateRequest text;
  for (int i = 0; i < 20'000; ++i) *text.mutable_text() += "some cdcd\n\ttext ";  // 's' begins a group
  EXPECT_TRUE(parse<v1::GenerateRequest>(text.SerializeAsString()));
}

TEST(GrpcFrames, LongTextsAndListsAreOneField) {
  v1::GenerateRequest text;
  text.set_text(std::string(3'000'000, 'a'));
  EXPECT_TRUE(parse<v1::GenerateRequest>(text.SerializeAsString()));
  v1::GenerateRequest tokens;
  for (int i = 0; i < 500'000; ++i) tokens.mutable_tokens()->add_ids(i * 7 % 150'000);
  EXPECT_TRUE(parse<v1::GenerateRequest>(tokens.SerializeAsString()));
}

}  // namespace
}  // namespace autoglm::protocol::grpc
