// The conformance suites of Codec and AnswerEncoder, over every protocol: what fronts and endpoints rely on.
#include "gateway/protocol/codec.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/testing/documents.h"
#include "gateway/protocol/testing/protocols.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace autoglm::protocol {
namespace {

const AnswerFacts kFacts{.id = "1", .model = "m", .created = 1700000000};

class CodecConformance : public ::testing::TestWithParam<Protocol> {
 protected:
  /// A body with these members behind the prompt.
  static std::string body(const std::string& members = {}) {
    return std::string("{") + GetParam().prompt + (members.empty() ? "" : ",") + members + "}";
  }
  Result<DecodedCall> decode(std::string_view bytes) const { return codec_->decode(bytes); }

  std::unique_ptr<Codec> codec_ = GetParam().make();
};

/// The facts of a call that the fields of all protocols give.
std::string facts(const Result<DecodedCall>& call) {
  if (!call) return "error: " + call.error().message;
  const Prompt& prompt = call->generation()->prompts.front();
  std::string said;
  if (const auto* text = std::get_if<TextPrompt>(&prompt)) said = text->text;
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) said = chat->messages.front().content;
  return fmt::format("{} \"{}\" {} n {} most {} seed {} temperature {} stop {} unknown {}", call->model, said,
                     call->stream, call->generation()->n, call->generation()->stop.max_tokens.value_or(0),
                     call->generation()->sampling.seed.value_or(0),
                     call->generation()->sampling.temperature.value_or(-1),
                     call->generation()->stop.stop.size(), call->unknown_fields);
}

TEST_P(CodecConformance, ReadsTheFieldsThatAllHave) {
  EXPECT_EQ(facts(decode(body(GetParam().members))), GetParam().facts);
  const auto least = decode(body());
  ASSERT_TRUE(least) << least.error().message;
  EXPECT_EQ(least->stream, GetParam().streams);
  EXPECT_TRUE(least->model.empty());
}

TEST_P(CodecConformance, MemberNamesMayBeEscapedAnywhere) {
  const std::string plain = body(GetParam().members);
  const std::string wanted = facts(decode(plain));
  std::size_t escaped = 0;
  for (std::size_t at = 0; at < plain.size(); ++at) {
    const char c = plain[at];
    if ((c < 'a' || c > 'z') && c != '_') continue;
    const std::size_t quote = plain.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at);
    const std::size_t open = plain.find_last_not_of("abcdefghijklmnopqrstuvwxyz_", at);
    if (plain[quote] != '"' || plain[open] != '"') continue;  // true
    std::string bytes = plain;
    bytes.replace(at, 1, fmt::format("\\u{:04x}", static_cast<unsigned>(c)));
    EXPECT_EQ(facts(decode(bytes)), wanted) << bytes;
    ++escaped;
  }
  EXPECT_GT(escaped, 40U);
}

TEST_P(CodecConformance, OfSeveralMembersWithOneNameTheLastCountsAndANullIsNone) {
  EXPECT_EQ(decode(body(R"("model":"a","mod\u0065l":"b")")).value().model, "b");
  EXPECT_EQ(decode(body(R"("model":"a","model":null)")).value().model, "a");
  EXPECT_TRUE(decode(body(R"("stream":false,"stream":true)")).value().stream);
  EXPECT_FALSE(decode(body(R"("stream":true,"\u0073tream":false)")).value().stream);
}

/// Code that edits a body on its way must see the members that the codec saw.
TEST_P(CodecConformance, AnEditIsWhatIsReadThen) {
  const std::array<std::string, 9> odd = {R"("model":"a")",
                                          R"("model":"a","model":"b","stream":false)",
                                          R"("m\u006fdel":"a","stream":true)",
                                          R"("\u006d\u006f\u0064\u0065\u006c":"a" , "x":{"model":"inner"})",
                                          R"("":1,"model":"a","\"model\"":"quoted","model ":"spaced")",
                                          R"("mod\\el":1,"\\":"\\","model\u0000":"z")",
                                          R"("你好":[{"model":"deep"}],"model":null)",
                                          "\"x\":\"\\\\\",\t\"model\"\n:\r\"a\"",
                                          R"("notes":{"stream":true,"model":{"model":"c"}},"user":"}\"{")"};
  for (const std::string& members : odd) {
    for (const std::string& bytes : {body(members), "{" + members + "," + GetParam().prompt + "}"}) {
      ASSERT_TRUE(decode(bytes)) << bytes << ": " << decode(bytes).error().message;
      const std::array<JsonEdit, 2> edits = {JsonEdit{"model", "\"z\""}, JsonEdit{"stream", "true"}};
      const std::string edited = edit_members(bytes, edits);
      const auto call = decode(edited);
      ASSERT_TRUE(call) << edited << ": " << call.error().message;
      EXPECT_EQ(call->model, "z") << edited;
      EXPECT_TRUE(call->stream) << edited;
    }
  }
}

TEST_P(CodecConformance, ABodyThatIsCutAnywhereIsAnError) {
  const std::string whole = body(std::string(GetParam().members) + R"(,"x":{"y":[1,"\u00e9",null]})");
  ASSERT_TRUE(decode(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto call = decode(std::string_view(whole).substr(0, size));
    ASSERT_FALSE(call) << size << " bytes of " << whole;
    EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(call.error().message.empty());
  }
  for (const char* behind : {"}", "x", "{}", ",", "\"", "]"})
    EXPECT_FALSE(decode(whole + behind)) << "nothing stands behind a body: " << behind;
  EXPECT_TRUE(decode(" \n\t" + whole + "\r\n"));
}

TEST_P(CodecConformance, OneWrongByteIsAnErrorOrAnotherRequestAndNeverMore) {
  const std::string whole = body(GetParam().members);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char wrong :
         {'\0', '"', '\\', '{', '}', '[', ']', ',', ':', '9', '-', 'e', '\x7f', '\xc3', '\xff'}) {
      std::string bytes = whole;
      bytes[at] = wrong;
      const auto call = decode(bytes);
      if (call) continue;
      EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument) << bytes;
      EXPECT_FALSE(call.error().message.empty()) << bytes;
    }
  }
}

TEST_P(CodecConformance, ErrorsNameTheField) {
  for (const auto& [field, value] : GetParam().wrong) {
    for (const std::string& name :
         {std::string(field), fmt::format("\\u{:04x}{}", static_cast<unsigned>(field[0]), field + 1)}) {
      const auto call = decode(body(fmt::format("\"{}\":{}", name, value)));
      ASSERT_FALSE(call) << name << ": " << value;
      EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument);
      EXPECT_EQ(call.error().param, field) << call.error().message;
    }
  }
}

TEST_P(CodecConformance, IsNoMatchForDepthNorForWhatIsNoObject) {
  for (const std::string& bytes :
       {std::string(), std::string("null"), std::string("[]"), std::string("7"), std::string("\"x\""),
        std::string(200'000, '['), body("\"x\":" + std::string(200'000, '[')),
        body("\"x\":" + std::string(100'000, '{')),
        std::string("{\"x\":") + std::string(5'000, '[') + std::string(5'000, ']') + "}"}) {
    const auto call = decode(bytes);
    ASSERT_FALSE(call) << bytes.substr(0, 20);
    EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument);
  }
}

TEST_P(CodecConformance, CountsWhatItDoesNotKnow) {
  const auto call = decode(body(R"("nobody":1,"knows":{"model":"x"},"th\u0065m":[null])"));
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->unknown_fields, 3U);
}

TEST_P(CodecConformance, OneServesAllLoops) {
  const std::string bytes = body(GetParam().members);
  const std::string wanted = facts(decode(bytes));
  std::vector<std::thread> loops;
  std::array<bool, 4> same{};
  for (bool& one : same) {
    loops.emplace_back([&] {
      one = true;
      for (int i = 0; i < 200; ++i) one = one && facts(decode(bytes)) == wanted;
    });
  }
  for (std::thread& loop : loops) loop.join();
  EXPECT_EQ(same, (std::array{true, true, true, true}));
}

TEST_P(CodecConformance, ABodyOfNothingAsksForNothing) {
  const auto call = decode("{}");
  if (call) {
    EXPECT_TRUE(call->asks_nothing);
  } else {
    EXPECT_EQ(call.error().code, ErrorCode::kInvalidArgument);
  }
}

std::vector<Protocol> read_whole() {
  auto all = protocols();
  std::erase_if(all, [](const Protocol& protocol) { return !protocol.reads_all; });
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, CodecConformance, ::testing::ValuesIn(read_whole()),
                         [](const auto& info) { return std::string(info.param.name); });

class AnswerEncoderConformance : public ::testing::TestWithParam<std::tuple<Protocol, bool>> {
 protected:
  static const Protocol& protocol() { return std::get<0>(GetParam()); }
  static bool streamed() { return std::get<1>(GetParam()); }

  /// So many choices, where a request may ask for several.
  static std::uint32_t choices(std::uint32_t n) { return protocol().has_choices ? n : 1; }
  static std::string body(std::uint32_t n, const std::string& more) {
    const std::string several = protocol().has_choices ? fmt::format(R"(,"n":{})", n) : "";
    return fmt::format(R"({{{}{},"stream":{}{}}})", protocol().prompt, several, streamed() ? "true" : "false",
                       more);
  }
  /// Of an answer of so many choices.
  static std::unique_ptr<AnswerEncoder> encoder(std::uint32_t n, const std::string& more = {}) {
    const auto codec = protocol().make();
    auto call = codec->decode(body(n, more));
    EXPECT_TRUE(call) << call.error().message;
    return call->make_encoder(kFacts);
  }
  /// The events of `n` choices, in turns, as an engine makes them.
  static std::vector<TokenEvent> events(std::uint32_t n, const std::vector<std::string>& words) {
    std::vector<TokenEvent> all;
    for (std::uint32_t i = 0; i < words.size(); ++i) {
      for (std::uint32_t choice = 0; choice < choices(n); ++choice) {
        TokenEvent event{.choice = choice, .index = i, .tokens = {static_cast<TokenId>(i)}, .text = words[i]};
        if (i + 1 == words.size()) event.finish = FinishReason::kStop;
        all.push_back(std::move(event));
      }
    }
    return all;
  }
  /// In batches of `size`.
  static std::string encode(AnswerEncoder& encoder, const std::vector<TokenEvent>& all, std::size_t size) {
    std::string out;
    for (std::size_t at = 0; at < all.size(); at += size) {
      EventBatch batch;
      for (std::size_t i = at; i < std::min(at + size, all.size()); ++i) batch.events.push_back(all[i]);
      encoder.events(batch, out);
    }
    encoder.end({.prompt_tokens = 3, .completion_tokens = 5}, out);
    return out;
  }
  static Documents all_documents(std::string_view bytes) { return documents(bytes, protocol().frame_end); }
  static std::size_t usages(const Documents& answer) {
    return static_cast<std::size_t>(std::ranges::count_if(
        answer, [](const auto& document) { return told(document, "usage") != nullptr; }));
  }
};

const std::vector<std::string> kWords = {"Hel",  "lo \"you\"\\",          "\n\t\x01\x7f",
                                         "你好", "\xe2\x80\xa8</script>", "🙂"};

std::string joined() {
  std::string text;
  for (const std::string& word : kWords) text += word;
  return text;
}

TEST_P(AnswerEncoderConformance, SaysAllOfEachChoiceInWhateverBatchesItComes) {
  for (const std::uint32_t n : {1U, 3U}) {
    const auto all = events(n, kWords);
    std::string whole;
    for (std::size_t size = 1; size <= all.size(); ++size) {
      const std::string out = encode(*encoder(n), all, size);
      const auto said = texts(all_documents(out), n);
      for (std::size_t i = 0; i < choices(n); ++i) {
        EXPECT_TRUE(said[i].ends_with(joined())) << said[i];  // /generate begins with the prompt
        EXPECT_EQ(said[i].find("Hel"), said[i].rfind("Hel")) << "twice: " << said[i];
      }
      if (whole.empty()) whole = out;
      if (!streamed() || protocol().frames_an_event) EXPECT_EQ(out, whole) << "in batches of " << size;
    }
  }
}

TEST_P(AnswerEncoderConformance, TellsUsageOnceWhereItIsTold) {
  const std::string asked = streamed() ? R"(,"stream_options":{"include_usage":true})" : "";
  const std::size_t wanted = protocol().tells_usage ? 1 : 0;
  EXPECT_EQ(usages(all_documents(encode(*encoder(2, asked), events(2, kWords), 2))), wanted);
  if (streamed())
    EXPECT_EQ(usages(all_documents(encode(*encoder(2), events(2, kWords), 2))),
              protocol().tells_unasked ? 1U : 0U);
}

TEST_P(AnswerEncoderConformance, AnAnswerOfNothingIsAnAnswer) {
  for (const std::uint32_t n : {1U, 4U}) {
    const std::string out = encode(*encoder(n), {}, 1);
    const auto answer = all_documents(out);
    if (!streamed()) ASSERT_EQ(answer.size(), out.starts_with('[') ? n : 1U) << out;
  }
}

TEST_P(AnswerEncoderConformance, AppendsAndLeavesWhatIsThere) {
  const auto all = events(2, kWords);
  const std::string alone = encode(*encoder(2), all, 3);
  const auto behind = encoder(2);
  std::string out = "what was there";
  for (std::size_t at = 0; at < all.size(); at += 3) {
    const EventBatch batch{.events = {all.begin() + static_cast<std::ptrdiff_t>(at),
                                      all.begin() + static_cast<std::ptrdiff_t>(at) + 3}};
    behind->events(batch, out);
  }
  behind->end({.prompt_tokens = 3, .completion_tokens = 5}, out);
  EXPECT_EQ(out, "what was there" + alone);
}

TEST_P(AnswerEncoderConformance, AFailureIsOneWholeErrorWhereverItComes) {
  const Error failed{.code = ErrorCode::kBadGateway, .message = "broke \"off\"\n"};
  const auto all = events(2, kWords);
  for (std::size_t before = 0; before <= all.size(); ++before) {
    const auto one = encoder(2);
    std::string out;
    for (std::size_t i = 0; i < before; ++i) one->events({.events = {all[i]}}, out);
    one->failure(failed, out);
    std::size_t errors = 0;
    for (const auto& document : all_documents(out)) {
      const auto* error = told(document, "error");
      if (error == nullptr && told(document, "type") != nullptr && document.at("type") == "error")
        error = &document.at("message");  // the error is the event
      if (error == nullptr) continue;
      ++errors;
      const auto& message = error->is_object() ? error->at("message") : *error;
      EXPECT_EQ(std::string_view(message.as_string()), "broke \"off\"\n");
    }
    EXPECT_EQ(errors, 1U) << out;
    EXPECT_EQ(out.find("[DONE]"), std::string::npos) << "as if it had ended well";
  }
}

TEST_P(AnswerEncoderConformance, AnswersDoNotKnowOfEachOther) {
  const auto codec = protocol().make();
  auto call = codec->decode(body(2, ""));
  ASSERT_TRUE(call);
  const auto one = call->make_encoder(kFacts);
  const auto other = call->make_encoder(kFacts);
  const auto all = events(2, kWords);
  const std::string first = encode(*one, all, 1);
  EXPECT_EQ(encode(*other, all, 1), first);
}

TEST_P(AnswerEncoderConformance, NamesATypeThatIsItsOwn) {
  const std::string type(encoder(1)->content_type());
  EXPECT_EQ(type == "application/json", !streamed()) << type;
}

INSTANTIATE_TEST_SUITE_P(All, AnswerEncoderConformance,
                         ::testing::Combine(::testing::ValuesIn(protocols()), ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) ? "Streamed" : "Whole");
                         });

}  // namespace
}  // namespace autoglm::protocol
