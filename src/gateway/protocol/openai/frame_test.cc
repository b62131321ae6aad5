#include "gateway/protocol/openai/frame.h"

#include <gtest/gtest.h>

namespace autoglm::protocol::openai {
namespace {

/// The data of each event in `bytes`, "-" for none, when `bytes` arrive in pieces of `step` bytes; after a
/// slash, the unread rest.
std::string read_in_pieces(std::string_view bytes, std::size_t step) {
  std::string out;
  std::string joined;
  std::string buffer;
  std::size_t searched = 0;
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    buffer += bytes.substr(at, step);
    while (true) {
      const std::string_view frame = next_frame(buffer, 0, searched);
      searched = 0;
      if (frame.empty()) break;
      out += std::string(frame_data(frame, joined).value_or("-")) + "|";
      buffer.erase(0, frame.size());
    }
    searched = buffer.size() - std::min<std::size_t>(buffer.size(), 2);
  }
  return out + "/" + buffer;
}

/// The examples of the standard (https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.6), and
/// others.
TEST(NextFrame, ReadsEventsAsTheStandardHasThem) {
  struct Case {
    std::string_view bytes;
    const char* data;
  };
  for (const auto& [bytes, data] : {
           Case{"data: This is the first message.\n\ndata: This is the second message, it\ndata: has two "
                "lines.\n\n"
                "data: This is the third message.\n\n",
                "This is the first message.|This is the second message, it\nhas two lines.|This is the third "
                "message.|/"},
           Case{"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n", "73857293|2153|/"},
           Case{"data: YHOO\ndata: +2\ndata: 10\n\n", "YHOO\n+2\n10|/"},
           Case{
               ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
               "-|first event|second event| third event|/"},
           Case{"data\n\ndata\ndata\n\ndata:", "|\n|/data:"},
           Case{"data:test\n\ndata: test\n\n", "test|test|/"},
           Case{"\xEF\xBB\xBF"
                "data: a\n\n",
                "a|/"},
           Case{"data: a\r\rdata: b\rdata: c\r\r", "a|b\nc|/"},
           Case{"data: a\r\n\r\ndata: b\r\ndata: c\r\n\r\n", "a|b\nc|/"},
           Case{"data: a\r\n\ndata: b\n\r\ndata: c\r\n\r\n", "a|b|c|/"},
           Case{": keep-alive\ndata: a\n\n: keep-alive\n", "a|/: keep-alive\n"},
           Case{"datax: a\nDATA: b\n data: c\n\n", "-|/"},
           Case{"data: a\rb\n\n", "a|/"},
       }) {
    for (std::size_t step = 1; step <= bytes.size(); ++step)
      EXPECT_EQ(read_in_pieces(bytes, step), data) << bytes << " in pieces of " << step;
  }
}

TEST(NextFrame, ALineEndThatComesLaterIsPartOfTheNextEvent) {
  EXPECT_EQ(read_in_pieces("data: a\r\r\ndata: b\r\r", 9), "a|b|/");
  EXPECT_EQ(read_in_pieces("data: a\r\r\ndata: b\r\r", 100), "a|b|/");
}

TEST(Frame, IsPassedOnWithoutTheCommentsBeforeIt) {
  EXPECT_EQ(without_comments(": keep-alive\n\r\n:\rid: 1\n: x\ndata: a\n\n"), "id: 1\n: x\ndata: a\n\n");
  EXPECT_EQ(without_comments(": keep-alive\n\n"), "");
  const auto usage = read_usage_comment(": keep-alive\n: usage 1 2 3\n\n");
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->completion_tokens, 3U);
}

TEST(NextFrame, FindsWholeFramesOnly) {
  const std::string_view bytes = "data: a\n\n: note\r\n\r\nid: 1\ndata:b\n\ndata: c\n";
  std::size_t at = 0;
  std::vector<std::string> data;
  std::string joined;
  while (true) {
    const std::string_view frame = next_frame(bytes, at);
    if (frame.empty()) break;
    at += frame.size();
    data.emplace_back(frame_data(frame, joined).value_or("-"));
  }
  EXPECT_EQ(data, (std::vector<std::string>{"a", "-", "b"}));
  EXPECT_EQ(bytes.substr(at), "data: c\n");
}

TEST(NextFrame, GoesOnWhereItHasLooked) {
  for (const std::string_view bytes : {"data: a\n\n", "data: a\r\n\r\n", "data: a\n\r\n", "x\ndata: a\n\n"}) {
    for (std::size_t known = 0; known < bytes.size(); ++known) {
      ASSERT_EQ(next_frame(bytes.substr(0, known), 0), "");
      EXPECT_EQ(next_frame(bytes, 0, known - std::min<std::size_t>(known, 2)), bytes) << known;
    }
  }
  EXPECT_EQ(next_frame("data: a\n\nb", 0, 9), "") << "where it has looked it does not look again";
}

TEST(FrameData, SeveralLinesAreOneValue) {
  std::string joined;
  EXPECT_TRUE(read_frame(frame_data("data: {\ndata: \"choices\":[]}\n\n", joined).value()));
  EXPECT_FALSE(read_frame(frame_data("data: {\"choices\":[]}\ndata: {}\n\n", joined).value()));
  EXPECT_FALSE(read_frame(frame_data("data: {\"choices\":[]}\nid: 1\ndata: x\n\n", joined).value()));
  EXPECT_NE(frame_data("data: x\ndata: [DONE]\n\n", joined), "[DONE]");
}

TEST(FrameData, LinesMayBeOfAnyLength) {
  for (const std::size_t length : {4085U, 4089U, 4090U, 4091U, 8186U, 9000U}) {
    const std::string said(length, 'x');
    for (const char* end : {"\n", "\r\n", "\r"}) {
      const std::string frame = "data: " + said + end + "id: 1" + end + end;
      EXPECT_EQ(next_frame(frame + "data: next" + end + end, 0), frame) << length;
      std::string joined;
      EXPECT_EQ(frame_data(frame, joined), said) << length;
      EXPECT_EQ(next_frame("data: " + said, 0), "");
    }
  }
}

TEST(ReadFrame, TakesNoMoreChoicesThanARequestCanAskFor) {
  const auto chunk = [](int choices) {
    std::string json = R"({"choices":[{})";
    for (int i = 1; i < choices; ++i) json += ",{}";
    return json + "]}";
  };
  EXPECT_EQ(read_frame(chunk(1 << 15))->events.size(), 1U << 15U);
  EXPECT_EQ(read_frame(chunk((1 << 15) + 1)).error().reason, "bad_stream");
}

TEST(ReadFrame, TakesNoNumberForAChoiceThatIsNone) {
  for (const char* index : {"-1", "4294967295", "4294967296", "1.5", "\"0\""}) {
    const auto frame = read_frame(std::string(R"({"choices":[{"text":"a","index":)") + index + "}]}");
    ASSERT_TRUE(frame) << index;
    EXPECT_EQ(frame->events[0].choice, 0xFFFFFFFFU) << index;
  }
  EXPECT_EQ(read_frame(R"({"choices":[{"text":"a"}]})")->events[0].choice, 0U);
}

TEST(ReadFrame, TellsTextTokensAndEnds) {
  const auto chat = read_frame(
      R"({"choices":[{"index":1,"delta":{"content":"é"},"token_ids":[5,6],"finish_reason":null}],"usage":null})");
  ASSERT_TRUE(chat);
  ASSERT_EQ(chat->events.size(), 1U);
  EXPECT_EQ(chat->events[0].choice, 1U);
  EXPECT_EQ(chat->events[0].text, "é");
  EXPECT_EQ(chat->events[0].tokens, (std::vector<TokenId>{5, 6}));
  EXPECT_TRUE(chat->has_tokens);
  EXPECT_FALSE(chat->usage);
  const auto end = read_frame(R"({"choices":[{"index":0,"text":"x","finish_reason":"length"}],)"
                              R"("usage":{"prompt_tokens":3,"completion_tokens":4}})");
  ASSERT_TRUE(end);
  EXPECT_EQ(end->events[0].finish, FinishReason::kLength);
  EXPECT_FALSE(end->has_tokens);
  EXPECT_EQ(end->usage->completion_tokens, 4U);
  const auto error = read_frame(R"({"error":{"message":"out of memory"}})");
  EXPECT_EQ(error->error->message, "out of memory");
  EXPECT_EQ(error->error->origin, Origin::kEndpoint);
  const auto own = read_frame(
      R"({"error":{"message":"dead end","type":"invalid_request_error","param":"grammar","code":"invalid_value"}})");
  EXPECT_EQ(own->error->origin, Origin::kClient);
  EXPECT_EQ(own->error->retry, Retry::kNever);
  EXPECT_EQ(own->error->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(own->error->param, "grammar");
  EXPECT_EQ(own->error->reason, "invalid_value");
  // vLLM and llama-server have a number for a code.
  const auto theirs =
      read_frame(R"({"error":{"message":"m","type":"BadRequestError","param":null,"code":400}})");
  EXPECT_EQ(theirs->error->origin, Origin::kClient);
  for (const char* garbage : {"", "{", "[]", "7", "\xff\xfe", R"({"choices":[)"})
    EXPECT_EQ(read_frame(garbage).error().code, ErrorCode::kBadGateway) << garbage;
}

TEST(ReadAnswer, TellsUsageOrWhatIsSaidInsteadOfAnAnswer) {
  const auto answer = read_answer(
      R"({"error":null,"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,)"
      R"("prompt_tokens_details":{"cached_tokens":2}}})");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->prompt_tokens, 3U);
  EXPECT_EQ(answer->completion_tokens, 4U);
  EXPECT_EQ(answer->cached_tokens, 2U);
  EXPECT_EQ(read_answer(R"({"choices":[{}],"usage":null})")->completion_tokens, 0U);
  const auto refused = read_answer(R"({"choices":[],"error":{"message":"out of memory"}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "out of memory");
  EXPECT_EQ(refused.error().retry, Retry::kElsewhere);
  for (const char* garbage : {"", "{", "[]", "7", "\xff\xfe", R"({"choices":[)", R"({"choices":[}]})"})
    EXPECT_EQ(read_answer(garbage).error().reason, "bad_stream") << garbage;
}

TEST(ReadAnswer, TakesNoAnswerForAnAnswer) {
  for (const char* none : {"{}", R"({"choices":[]})", R"({"choices":null,"usage":null})", R"({"id":"c"})"})
    EXPECT_EQ(read_answer(none).error().reason, "bad_stream") << none;
  for (const char* said : {R"({"error":"boom"})", R"({"detail":"boom"})",
                           R"({"object":"error","message":"boom"})", R"({"error":{"message":"boom"}})",
                           R"({"detail":null,"object":"error","message":"boom","code":500})"}) {
    const auto answer = read_answer(said);
    ASSERT_FALSE(answer) << said;
    EXPECT_EQ(answer.error().message, "boom") << said;
    EXPECT_EQ(answer.error().retry, Retry::kElsewhere) << said;
    EXPECT_EQ(read_frame(said)->error->message, "boom") << said;
    EXPECT_EQ(read_generated(said).error().message, "boom") << said;
  }
  EXPECT_TRUE(read_answer(R"({"error":false,"choices":[{}]})")) << "it says that there is none";
  EXPECT_TRUE(read_generated(R"({"text":["a"]})"));
  EXPECT_FALSE(read_generated("{}"));
}

TEST(ReadAnswer, KnowsARateLimitByAnyOfItsNames) {
  for (const char* said :
       {R"({"error":{"message":"m","code":429}})", R"({"error":{"message":"m","code":"429"}})",
        R"({"error":{"message":"m","type":"rate_limit_error"}})", R"({"error":"m","status":429})",
        R"({"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}})",
        R"({"error":{"message":"m","code":"insufficient_quota"}})"}) {
    EXPECT_EQ(read_answer(said).error().code, ErrorCode::kResourceExhausted) << said;
    EXPECT_EQ(read_frame(said)->error->code, ErrorCode::kResourceExhausted) << said;
  }
  EXPECT_EQ(read_answer(R"({"error":{"type":"overloaded_error"}})").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(read_answer(R"({"error":{"message":"m","type":"theirs"}})").error().said->type, "theirs");
}

TEST(ReadFrame, KnowsWhoSaysNothingYet) {
  for (const char* turn :
       {R"({"choices":[]})", R"({"choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]})",
        R"({"choices":[{"index":0,"delta":{"role":"assistant","content":"","tool_calls":[]}}]})",
        R"({"choices":[{"index":0,"text":""}]})"}) {
    EXPECT_FALSE(read_frame(turn)->says) << turn;
    EXPECT_TRUE(read_frame(turn)->is_chunk) << turn;
  }
  for (const char* says :
       {R"({"choices":[{"delta":{"content":"a"}}]})", R"({"choices":[{"delta":{"refusal":"no"}}]})",
        R"({"choices":[{"delta":{"their_own":{"data":1}}}]})",
        R"({"choices":[{"delta":{},"finish_reason":"stop"}]})", R"({"choices":[{"text":"a"}]})"})
    EXPECT_TRUE(read_frame(says)->says) << says;
  EXPECT_FALSE(read_frame("{}")->is_chunk);
  EXPECT_TRUE(read_frame(R"({"usage":{"prompt_tokens":1}})")->is_chunk);
}

TEST(ReadError, KeepsWhatTheEndpointSaid) {
  const Error wrong =
      read_error(400, R"({"error":{"message":"no such field","param":"x","code":"invalid_value"}})");
  EXPECT_EQ(wrong.code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(wrong.retry, Retry::kNever);
  EXPECT_EQ(wrong.param, "x");
  const Error busy = read_error(429, "<html>", std::chrono::seconds(7));
  EXPECT_EQ(busy.code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(busy.retry, Retry::kElsewhere);
  EXPECT_EQ(busy.retry_after, std::chrono::seconds(7));
  EXPECT_EQ(read_error(500, "").code, ErrorCode::kBadGateway);
  EXPECT_EQ(read_error(401, "").code, ErrorCode::kBadGateway) << "the client cannot mend our key";
}

TEST(ReadError, ARefusalOfOurModelKeyOrPathIsTheEndpointsOwn) {
  for (const int status : {401, 402, 403, 404, 405, 407, 410, 415, 421, 431, 501}) {
    const Error error = read_error(status, R"({"error":{"message":"The model `m` does not exist."}})");
    EXPECT_EQ(error.origin, Origin::kEndpoint) << status;
    EXPECT_EQ(error.retry, Retry::kElsewhere) << status;
    EXPECT_EQ(error.code, ErrorCode::kBadGateway) << status;
    EXPECT_EQ(error.reason, kEndpointMisconfigured) << status;
  }
  for (const char* said : {R"({"error":{"message":"?","param":"model"}})",
                           R"({"error":{"message":"?","code":"model_not_found"}})"}) {
    EXPECT_EQ(read_error(400, said).origin, Origin::kEndpoint) << said;
    EXPECT_NE(read_error(500, said).reason, kEndpointMisconfigured) << said;
  }
  const auto streamed = read_frame(
      R"({"error":{"message":"?","type":"invalid_request_error","param":"model","code":"model_not_found"}})");
  EXPECT_EQ(streamed->error->origin, Origin::kEndpoint);
  EXPECT_EQ(streamed->error->reason, kEndpointMisconfigured);
}

TEST(ReadError, ARefusalOfTheBodyIsTheClientsOwn) {
  for (const int status : {400, 406, 409, 413, 422, 451}) {
    const Error error = read_error(status, R"({"error":{"message":"no","param":"prompt"}})");
    EXPECT_EQ(error.origin, Origin::kClient) << status;
    EXPECT_EQ(error.retry, Retry::kNever) << status;
  }
  for (const int status : {408, 425, 429, 500, 502, 503, 504}) {
    EXPECT_EQ(read_error(status, "").origin, Origin::kEndpoint) << status;
    EXPECT_EQ(read_error(status, "").retry, Retry::kElsewhere) << status;
  }
}

TEST(Frame, TellsUsageInAComment) {
  const std::string comment =
      usage_comment({.prompt_tokens = 12, .cached_tokens = 3, .completion_tokens = 45});
  EXPECT_EQ(next_frame(comment, 0), comment);
  std::string joined;
  EXPECT_FALSE(frame_data(comment, joined));
  const auto usage = read_usage_comment(comment);
  ASSERT_TRUE(usage);
  EXPECT_EQ(usage->prompt_tokens, 12U);
  EXPECT_EQ(usage->cached_tokens, 3U);
  EXPECT_EQ(usage->completion_tokens, 45U);
  EXPECT_FALSE(read_usage_comment(": usage 1 x\n\n"));
  EXPECT_FALSE(read_usage_comment(": keep-alive\n\n"));
}

TEST(Frame, TellsTheStopStringThatEndedAChoice) {
  const auto frame =
      read_frame(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop","stop_reason":"END"}]})");
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->events.at(0).stop, "END");
  // vLLM's is a number when it was a token.
  const auto token =
      read_frame(R"({"choices":[{"index":0,"delta":{},"finish_reason":"stop","stop_reason":7}]})");
  ASSERT_TRUE(token);
  EXPECT_EQ(token->events.at(0).stop, "");
}

}  // namespace
}  // namespace autoglm::protocol::openai
