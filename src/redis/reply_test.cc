#include "redis/reply.h"

#include <gtest/gtest.h>

#include <array>

namespace autoglm::redis {
namespace {

std::vector<Reply> read_in_parts(std::string_view bytes, std::size_t part) {
  ReplyReader reader;
  std::vector<Reply> all;
  for (std::size_t at = 0; at < bytes.size(); at += part) {
    EXPECT_TRUE(reader.feed(bytes.substr(at, part)));
    while (true) {
      auto next = reader.next();
      EXPECT_TRUE(next);
      if (!next || !*next) break;
      all.push_back(std::move(**next));
    }
  }
  return all;
}

TEST(ReplyReader, ReadsEveryKindHoweverItIsCut) {
  constexpr std::string_view kBytes =
      "+OK\r\n:-17\r\n$5\r\nhe\r\nl\r\n$-1\r\n*3\r\n:1\r\n*1\r\n$2\r\nab\r\n*0\r\n-ERR bad\r\n";
  for (std::size_t part = 1; part <= kBytes.size(); ++part) {
    const auto all = read_in_parts(kBytes, part);
    ASSERT_EQ(all.size(), 6U) << part;
    EXPECT_EQ(all[0].text, "OK");
    EXPECT_EQ(all[1].integer, -17);
    EXPECT_EQ(all[2].text, "he\r\nl");
    EXPECT_EQ(all[3].kind, Reply::Kind::kNothing);
    ASSERT_EQ(all[4].elements.size(), 3U);
    EXPECT_EQ(all[4].elements[1].elements.at(0).text, "ab");
    EXPECT_TRUE(all[4].elements[2].elements.empty());
    EXPECT_TRUE(all[5].is_error("ERR"));
    EXPECT_FALSE(all[5].is_error("ERRO"));
  }
}

TEST(ReplyReader, RefusesWhatIsNoReply) {
  for (const char* bytes : {"HTTP/1.1 400 Bad Request\r\n", "$abc\r\n", "*99999\r\n"}) {
    ReplyReader reader;
    ASSERT_TRUE(reader.feed(bytes));
    const auto next = reader.next();
    ASSERT_FALSE(next) << bytes;
    EXPECT_EQ(next.error().code, ErrorCode::kBadGateway);
  }
}

TEST(ReplyReader, RefusesAReplyThatIsTooLarge) {
  ReplyReader reader;
  ASSERT_TRUE(reader.feed("$2000000\r\n"));
  ASSERT_TRUE(reader.feed(std::string(ReplyReader::kMostBytes / 2, 'a')));
  EXPECT_FALSE(reader.feed(std::string(ReplyReader::kMostBytes / 2, 'a')));
}

TEST(Reply, KnowsAnErrorThatAScriptHasPassedOn) {
  const auto error = [](std::string text) {
    return Reply{.kind = Reply::Kind::kError, .text = std::move(text)};
  };
  EXPECT_TRUE(error("READONLY You can't write against a read only replica. script: 1").is_error("READONLY"));
  EXPECT_TRUE(error("ERR Error running script (call to f_1): @user_script:1: -READONLY You can't")
                  .is_error("READONLY"));
  EXPECT_FALSE(error("ERR something about READONLY").is_error("READONLY"));
}

TEST(FormatCommand, KeepsAnyBytes) {
  EXPECT_EQ(format_command(std::array<std::string_view, 3>{"SET", "a b", std::string_view("\0\r\n", 3)}),
            std::string("*3\r\n$3\r\nSET\r\n$3\r\na b\r\n$3\r\n\0\r\n\r\n", 31));
}

}  // namespace
}  // namespace autoglm::redis
