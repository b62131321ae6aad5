// The conformance suites of Codec and AnswerEncoder, over every protocol: what fronts and endpoints rely on.
#include "gateway/protocol/codec.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/openai/chat_codec.h"
#include "gateway/protocol/openai/completions_codec.h"
#include "gateway/protocol/vllm/generate_codec.h"

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

struct Protocol {
  const char* name;
  std::unique_ptr<Codec> (*make)();
  const char* prompt;    ///< the member that every body has
  bool tells_usage;      ///< whole answers do, and streams that are asked for it
  bool frames_an_event;  ///< a stream's bytes depend on events alone; else it is a frame a batch
};

template <class Made>
std::unique_ptr<Codec> make() {
  return std::make_unique<Made>();
}

const Protocol kChat{"Chat", make<openai::ChatCodec>, R"("messages":[{"role":"user","content":"hello"}])",
                     true, true};
const Protocol kCompletions{"Completions", make<openai::CompletionsCodec>, R"("prompt":"hello")", true, true};
const Protocol kGenerate{"Generate", make<vllm::GenerateCodec>, R"("prompt":"hello")", false, false};

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
  const Prompt& prompt = call->work.prompts.front();
  std::string said;
  if (const auto* text = std::get_if<TextPrompt>(&prompt)) said = text->text;
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) said = chat->messages.front().content;
  return fmt::format("{} \"{}\" {} n {} most {} seed {} temperature {} stop {} unknown {}", call->model, said,
                     call->stream, call->work.n, call->work.stop.max_tokens.value_or(0),
                     call->work.sampling.seed.value_or(0), call->work.sampling.temperature.value_or(-1),
                     call->work.stop.stop.size(), call->unknown_fields);
}

constexpr const char* kMembers =
    R"("model":"a","stream":true,"n":2,"max_tokens":7,"seed":9,"temperature":0.5,"stop":["x","y"])";

TEST_P(CodecConformance, ReadsTheFieldsThatAllHave) {
  EXPECT_EQ(facts(decode(body(kMembers))),
            "a \"hello\" true n 2 most 7 seed 9 temperature 0.5 stop 2 unknown 0");
  const auto least = decode(body());
  ASSERT_TRUE(least) << least.error().message;
  EXPECT_FALSE(least->stream);
  EXPECT_TRUE(least->model.empty());
}

TEST_P(CodecConformance, MemberNamesMayBeEscapedAnywhere) {
  const std::string plain = body(kMembers);
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
  const std::array<std::string, 9> odd = {
      R"("model":"a")",
      R"("model":"a","model":"b","stream":false)",
      R"("m\u006fdel":"a","stream":true)",
      R"("\u006d\u006f\u0064\u0065\u006c":"a" , "x":{"model":"inner"})",
      R"("":1,"model":"a","\"model\"":"quoted","model ":"spaced")",
      R"("mod\\el":1,"\\":"\\","model\u0000":"z")",
      R"("你好":[{"model":"deep"}],"model":null)",
      "\"x\":\"\\\\\",\t\"model\"\n:\r\"a\"",
      R"("metadata":{"stream":true,"model":{"model":"c"}},"user":"}\"{")"};
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
  const std::string whole = body(std::string(kMembers) + R"(,"x":{"y":[1,"\u00e9",null]})");
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
  const std::string whole = body(kMembers);
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
  for (const auto& [field, value] :
       {std::pair("model", "1"), std::pair("stream", "\"yes\""), std::pair("n", "0"),
        std::pair("n", "\"two\""), std::pair("max_tokens", "-1"), std::pair("temperature", "\"warm\""),
        std::pair("temperature", "[]"), std::pair("seed", "{}"), std::pair("stop", "7"),
        std::pair("top_p", "2")}) {
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
        std::string("{}"), std::string(200'000, '['), body("\"x\":" + std::string(200'000, '[')),
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
  const std::string bytes = body(kMembers);
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

INSTANTIATE_TEST_SUITE_P(All, CodecConformance, ::testing::Values(kChat, kCompletions, kGenerate),
                         [](const auto& info) { return std::string(info.param.name); });

class AnswerEncoderConformance : public ::testing::TestWithParam<std::tuple<Protocol, bool>> {
 protected:
  static const Protocol& protocol() { return std::get<0>(GetParam()); }
  static bool streamed() { return std::get<1>(GetParam()); }

  /// Of an answer of so many choices.
  static std::unique_ptr<AnswerEncoder> encoder(std::uint32_t n, const std::string& more = {}) {
    const auto codec = protocol().make();
    auto call = codec->decode(fmt::format(R"({{{},"n":{},"stream":{}{}}})", protocol().prompt, n,
                                          streamed() ? "true" : "false", more));
    EXPECT_TRUE(call) << call.error().message;
    return call->make_encoder(kFacts);
  }
  /// The events of `n` choices, in turns, as an engine makes them.
  static std::vector<TokenEvent> events(std::uint32_t n, const std::vector<std::string>& words) {
    std::vector<TokenEvent> all;
    for (std::uint32_t i = 0; i < words.size(); ++i) {
      for (std::uint32_t choice = 0; choice < n; ++choice) {
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
  /// The JSON documents of an answer, each valid; "[DONE]" is none.
  static std::vector<boost::json::value> documents(std::string_view bytes) {
    const std::string_view begin = bytes.starts_with("data: ") ? "data: " : "";
    const std::string_view end = !begin.empty() ? std::string_view("\n\n") : std::string_view("\0", 1);
    std::vector<boost::json::value> all;
    while (!bytes.empty()) {
      EXPECT_TRUE(bytes.starts_with(begin)) << bytes;
      bytes.remove_prefix(begin.size());
      const std::size_t size = bytes.find(end);
      const std::string_view document = bytes.substr(0, size);
      boost::system::error_code error;
      if (document != "[DONE]") all.push_back(boost::json::parse(document, error));
      EXPECT_FALSE(error) << error.message() << ": " << document;
      bytes.remove_prefix(size == std::string_view::npos ? bytes.size() : size + end.size());
    }
    return all;
  }
  /// What a client has of each choice at the end.
  static std::vector<std::string> texts(const std::vector<boost::json::value>& answer, std::size_t n) {
    std::vector<std::string> texts(n);
    for (const auto& document : answer) {
      const auto& object = document.as_object();
      if (const auto* all = object.if_contains("text")) {
        for (std::size_t i = 0; i < n; ++i) texts.at(i) = std::string_view(all->as_array().at(i).as_string());
        continue;
      }
      for (const auto& choice : object.at("choices").as_array()) {
        std::string& text = texts.at(static_cast<std::size_t>(choice.at("index").to_number<int>()));
        for (const char* place : {"message", "delta"}) {
          const auto* part = choice.as_object().if_contains(place);
          const auto* content = part != nullptr ? part->as_object().if_contains("content") : nullptr;
          if (content != nullptr && content->is_string()) text += std::string_view(content->as_string());
        }
        if (const auto* said = choice.as_object().if_contains("text"))
          text += std::string_view(said->as_string());
      }
    }
    return texts;
  }
  static std::size_t usages(const std::vector<boost::json::value>& answer) {
    std::size_t count = 0;
    for (const auto& document : answer) {
      const auto* usage = document.as_object().if_contains("usage");
      if (usage != nullptr && !usage->is_null()) ++count;
    }
    return count;
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
      const auto said = texts(documents(out), n);
      for (std::size_t i = 0; i < n; ++i) {
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
  EXPECT_EQ(usages(documents(encode(*encoder(2, asked), events(2, kWords), 2))), wanted);
  if (streamed())
    EXPECT_EQ(usages(documents(encode(*encoder(2), events(2, kWords), 2))), 0U) << "nobody asked";
}

TEST_P(AnswerEncoderConformance, AnAnswerOfNothingIsAnAnswer) {
  for (const std::uint32_t n : {1U, 4U}) {
    const std::string out = encode(*encoder(n), {}, 1);
    const auto answer = documents(out);
    if (!streamed()) ASSERT_EQ(answer.size(), 1U) << out;
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
  const Error error{.code = ErrorCode::kBadGateway, .message = "broke \"off\"\n"};
  const auto all = events(2, kWords);
  for (std::size_t before = 0; before <= all.size(); ++before) {
    const auto one = encoder(2);
    std::string out;
    for (std::size_t i = 0; i < before; ++i) one->events({.events = {all[i]}}, out);
    one->failure(error, out);
    std::size_t errors = 0;
    for (const auto& document : documents(out)) {
      const auto* told = document.as_object().if_contains("error");
      if (told == nullptr) continue;
      ++errors;
      EXPECT_EQ(std::string_view(told->at("message").as_string()), "broke \"off\"\n");
    }
    EXPECT_EQ(errors, 1U) << out;
    EXPECT_EQ(out.find("[DONE]"), std::string::npos) << "as if it had ended well";
  }
}

TEST_P(AnswerEncoderConformance, AnswersDoNotKnowOfEachOther) {
  const auto codec = protocol().make();
  auto call = codec->decode(
      fmt::format(R"({{{},"n":2,"stream":{}}})", protocol().prompt, streamed() ? "true" : "false"));
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
                         ::testing::Combine(::testing::Values(kChat, kCompletions, kGenerate),
                                            ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param).name) +
                                  (std::get<1>(info.param) ? "Streamed" : "Whole");
                         });

}  // namespace
}  // namespace autoglm::protocol
