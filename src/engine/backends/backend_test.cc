// The conformance suite of Backend, run over every implementation: the rules that the scheduler relies on.
#include "engine/backends/backend.h"

#include "engine/backends/llama/llama_backend.h"
#include "engine/testing/fake_backend.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace autoglm::engine {
namespace {

constexpr std::uint32_t kCells = 256;

std::unique_ptr<Backend> make_fake() {
  return std::make_unique<FakeBackend>(
      FakeBackend::Options{.context = 256, .cells = kCells, .max_sequences = 8});
}

std::unique_ptr<Backend> make_llama() {
  const LlamaOptions options{.path = AUTOGLM_TINY_MODEL,
                             .context = 256,
                             .cache_cells = kCells,
                             .max_sequences = 8,
                             .max_batch = 64,
                             .threads = 3};
  return load_llama_backend(options, [](double) { return true; }).value();
}

struct Implementation {
  const char* name;
  std::unique_ptr<Backend> (*make)();
};

class BackendConformance : public ::testing::TestWithParam<Implementation> {
 protected:
  static KvOperation share(std::int32_t from, std::int32_t to, std::uint32_t end) {
    return {.kind = KvOperation::Kind::kShare, .from = from, .to = to, .begin = 0, .end = end};
  }
  static KvOperation forget(std::int32_t sequence, std::uint32_t begin = 0) {
    return {.from = sequence, .begin = begin};
  }
  /// Computes `tokens` from `position` on; returns the greedy next token.
  TokenId feed(std::int32_t sequence, const std::vector<TokenId>& tokens, std::int32_t position = 0) {
    std::vector<BatchRow> rows;
    for (const TokenId token : tokens) rows.push_back({token, position++, sequence, false});
    rows.back().wants_logits = true;
    EXPECT_EQ(backend_->decode(rows, threads_), DecodeStatus::kOk);
    return best(rows.size() - 1);
  }
  TokenId best(std::size_t row) {
    const auto logits = backend_->logits(row);
    return static_cast<TokenId>(std::ranges::max_element(logits) - logits.begin());
  }
  /// `count` greedy tokens after `prompt`.
  std::vector<TokenId> generate(std::int32_t sequence, std::vector<TokenId> prompt, int count) {
    std::vector<TokenId> out = {feed(sequence, prompt)};
    auto position = static_cast<std::int32_t>(prompt.size());
    while (static_cast<int>(out.size()) < count) out.push_back(feed(sequence, {out.back()}, position++));
    return out;
  }
  std::vector<TokenId> tokens(std::string_view text) { return backend_->tokenize(text, true, false).value(); }

  std::unique_ptr<Backend> backend_ = GetParam().make();
  std::uint32_t threads_ = 1;
};

TEST_P(BackendConformance, TellsWhatItIs) {
  const BackendFacts& facts = backend_->facts();
  EXPECT_EQ(facts.cache_cells, kCells);
  EXPECT_EQ(facts.max_sequences, 8U);
  EXPECT_TRUE(facts.shares_prefixes);
  EXPECT_GE(facts.sequence_ids, 16U);
  EXPECT_GT(facts.vocabulary_size, 200U);
}

TEST_P(BackendConformance, TextSurvivesTheRoundTrip) {
  for (const std::string text : {"Hello, world", "你好，世界", "tab\tand\nline", "<|im_end|>"}) {
    std::string back;
    for (const TokenId token : backend_->tokenize(text, false, false).value()) back += backend_->piece(token);
    EXPECT_EQ(back, text);
  }
}

TEST_P(BackendConformance, SaysTheSameWhateverThreadsComputeAStep) {
  ASSERT_GT(backend_->facts().threads, 1U);
  const auto by_one = generate(0, tokens("Hello there"), 8);
  backend_->apply(forget(0));
  const auto prompt = tokens("Hello there");
  std::vector<TokenId> by_many;
  auto position = static_cast<std::int32_t>(prompt.size());
  for (int i = 0; i < 8; ++i) {
    threads_ = 1 + static_cast<std::uint32_t>(i) % backend_->facts().threads;
    by_many.push_back(i == 0 ? feed(0, prompt) : feed(0, {by_many.back()}, position++));
  }
  EXPECT_EQ(by_many, by_one);
}

TEST_P(BackendConformance, SaysTheSameAloneAndInABatch) {
  const auto alone = generate(0, tokens("Hello there"), 8);
  backend_->apply(forget(0));
  // Beside another sequence, one token of each per step.
  auto mine = tokens("Hello there");
  auto other = tokens("Something else");
  TokenId next_mine = feed(1, mine);
  TokenId next_other = feed(2, other);
  std::vector<TokenId> together = {next_mine};
  auto at_mine = static_cast<std::int32_t>(mine.size());
  auto at_other = static_cast<std::int32_t>(other.size());
  for (int i = 1; i < 8; ++i) {
    const BatchRow rows[] = {{next_other, at_other++, 2, true}, {next_mine, at_mine++, 1, true}};
    ASSERT_EQ(backend_->decode(rows, 1), DecodeStatus::kOk);
    next_other = best(0);
    next_mine = best(1);
    together.push_back(next_mine);
  }
  EXPECT_EQ(together, alone);
}

TEST_P(BackendConformance, SaysTheSameInChunks) {
  const auto prompt = tokens("A prompt of some length, to be read in pieces");
  const TokenId whole = feed(0, prompt);
  for (std::size_t i = 0; i + 1 < prompt.size(); i += 5) {
    const std::size_t end = std::min(i + 5, prompt.size() - 1);
    feed(1,
         {prompt.begin() + static_cast<std::ptrdiff_t>(i), prompt.begin() + static_cast<std::ptrdiff_t>(end)},
         static_cast<std::int32_t>(i));
  }
  EXPECT_EQ(feed(1, {prompt.back()}, static_cast<std::int32_t>(prompt.size()) - 1), whole);
}

TEST_P(BackendConformance, SavedCellsComeBackAsTheyWereWhereverThereIsRoom) {
  EXPECT_GT(backend_->facts().cell_bytes, 0U);
  std::vector<TokenId> prompt;
  while (prompt.size() < 100) {  // more than one piece, and more than one step
    const auto more = tokens("A beginning that is saved, word for word");
    prompt.insert(prompt.end(), more.begin(), more.end());
  }
  prompt.resize(100);
  const std::uint32_t length = 100;
  feed(0, {prompt.begin(), prompt.begin() + 60});
  feed(0, {prompt.begin() + 60, prompt.end()}, 60);
  using enum KvOperation::Kind;
  const TokenId probe = prompt.front();
  backend_->apply(share(0, 1, length));
  const TokenId expected = feed(1, {probe}, static_cast<std::int32_t>(length));
  backend_->apply(forget(1));
  backend_->apply({.kind = kSave, .from = 0, .begin = 0, .end = length, .state = 7});
  for (const std::uint32_t kept : {0U, 16U, KvOperation::kPiece, length - 3}) {
    backend_->apply(share(0, 2, kept));
    feed(3, tokens("Somebody else takes a place between"));
    backend_->apply({.kind = kRestore, .to = 2, .begin = kept, .end = length, .state = 7});
    EXPECT_EQ(feed(2, {probe}, static_cast<std::int32_t>(length)), expected) << "with " << kept << " kept";
    backend_->apply(forget(2));
    backend_->apply(forget(3));
  }
  backend_->apply({.kind = kDrop, .state = 7});
}

TEST_P(BackendConformance, SaysTheSameInALargeStepBesideStreams) {
  // In lockstep, so that the cells of each stream are scattered among the others'.
  const auto text = tokens("a text that four streams have said so far");
  const auto last = static_cast<std::int32_t>(text.size()) - 1;
  for (std::int32_t i = 0; i < last; ++i) {
    std::vector<BatchRow> rows;
    for (std::int32_t stream = 0; stream < 4; ++stream)
      rows.push_back({text[static_cast<std::size_t>(i)], i, stream, false});
    ASSERT_EQ(backend_->decode(rows, 1), DecodeStatus::kOk);
  }
  std::vector<TokenId> prompt;
  while (prompt.size() < 60) std::ranges::copy(tokens("so many words at once "), std::back_inserter(prompt));
  prompt.resize(60);
  feed(4, {prompt.begin(), prompt.begin() + 30});
  const TokenId behind_prompt = feed(4, {prompt.begin() + 30, prompt.end()}, 30);
  const TokenId behind_text = feed(0, {text.back()}, last);
  backend_->apply(forget(4));
  backend_->apply(forget(0, static_cast<std::uint32_t>(last)));

  std::vector<BatchRow> rows;
  for (std::int32_t stream = 0; stream < 4; ++stream) rows.push_back({text.back(), last, stream, true});
  for (std::int32_t i = 0; i < 60; ++i) rows.push_back({prompt[static_cast<std::size_t>(i)], i, 4, i == 59});
  ASSERT_EQ(backend_->decode(rows, 1), DecodeStatus::kOk);
  for (std::size_t stream = 0; stream < 4; ++stream) EXPECT_EQ(best(stream), behind_text) << stream;
  EXPECT_EQ(best(63), behind_prompt);
}

TEST_P(BackendConformance, SharedCellsCountOnceAndOutliveTheirFirstOwner) {
  const auto prompt = tokens("A beginning that several have in common, word for word");
  const auto length = static_cast<std::uint32_t>(prompt.size());
  const auto expected = generate(0, prompt, 6);
  backend_->apply(forget(0, length));
  for (std::int32_t to = 1; to < 8; ++to) backend_->apply(share(0, to, length));
  backend_->apply(forget(0));
  for (std::int32_t to = 1; to < 8; ++to) {
    std::vector<TokenId> said = {expected[0]};
    auto position = static_cast<std::int32_t>(length);
    while (said.size() < expected.size()) said.push_back(feed(to, {said.back()}, position++));
    EXPECT_EQ(said, expected) << to;
  }
}

TEST_P(BackendConformance, AFullCacheRefusesAndChangesNothing) {
  const auto expected = generate(0, tokens("Hello"), 5);
  backend_->apply(forget(0));
  const TokenId first = feed(0, tokens("Hello"));
  const std::vector<TokenId> filler(60, 65);
  std::int32_t filled = 0;
  for (std::uint32_t used = 0; used + 60 + tokens("Hello").size() + 10 <= kCells; used += 60) {
    feed(7, filler, filled);
    filled += 60;
  }
  std::vector<BatchRow> rows;
  for (std::int32_t i = 0; i < 64; ++i) rows.push_back({65, filled + i, 7, i == 63});
  EXPECT_EQ(backend_->decode(rows, 1), DecodeStatus::kNoRoom);
  backend_->apply(forget(7));
  // The first sequence is unchanged, and there is room again.
  std::vector<TokenId> said = {first};
  auto position = static_cast<std::int32_t>(tokens("Hello").size());
  while (said.size() < expected.size()) said.push_back(feed(0, {said.back()}, position++));
  EXPECT_EQ(said, expected);
  feed(7, filler);
}

TEST_P(BackendConformance, AnAbortedStepCanBeDoneAgain) {
  const auto prompt = tokens("Hello there, this is a prompt");
  const TokenId expected = feed(0, prompt);
  std::vector<BatchRow> rows;
  for (std::size_t i = 0; i < prompt.size(); ++i)
    rows.push_back({prompt[i], static_cast<std::int32_t>(i), 1, i + 1 == prompt.size()});
  backend_->abort.store(true);
  EXPECT_EQ(backend_->decode(rows, 1), DecodeStatus::kAborted);
  backend_->abort.store(false);
  backend_->apply(forget(1));
  EXPECT_EQ(feed(1, prompt), expected);
}

TEST_P(BackendConformance, AppliesAChatTemplate) {
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "What is this?"});
  const auto rendered = backend_->render_chat(chat, {});
  ASSERT_TRUE(rendered);
  EXPECT_NE(rendered->text.find("What is this?"), std::string::npos);
  EXPECT_NE(rendered->text.find("assistant"), std::string::npos);
}

TEST(LlamaBackendChat, JsonBeginsWithJsonAndNotWithMarksAroundIt) {
  const auto backend = make_llama();
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "hello"});
  const OutputFormat format{OutputFormat::Kind::kJsonSchema, R"({"type": "object"})"};
  const auto rendered = backend->render_chat(chat, format);
  ASSERT_TRUE(rendered.has_value()) << rendered.error().message;
  EXPECT_FALSE(rendered->make_parser) << "nobody would take the marks off again";
  EXPECT_TRUE(rendered->constraint->allows(backend->tokenize("{", false, false).value().front()));
  EXPECT_FALSE(rendered->constraint->allows(backend->tokenize("`", false, false).value().front()));
}

INSTANTIATE_TEST_SUITE_P(All, BackendConformance,
                         ::testing::Values(Implementation{"Fake", make_fake},
                                           Implementation{"Llama", make_llama}),
                         [](const auto& info) { return std::string(info.param.name); });

class LlamaBackendLoad : public ::testing::Test {
 protected:
  LlamaBackendLoad()
      : path_(std::filesystem::temp_directory_path() /
              ("llama-load-" + std::to_string(::getpid()) + ".gguf")) {}
  ~LlamaBackendLoad() override { std::filesystem::remove(path_); }

  Error load(const std::string& content) {
    std::ofstream(path_, std::ios::binary) << content;
    const auto loaded =
        load_llama_backend({.path = path_.string(), .threads = 1}, [](double) { return true; });
    return loaded ? Error{} : loaded.error();
  }

  std::filesystem::path path_;
};

TEST_F(LlamaBackendLoad, NamesTheFileAndWhatIsWrong) {
  std::ifstream tiny(AUTOGLM_TINY_MODEL, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(tiny), {}};
  for (const auto& [content, words] :
       {std::pair(std::string("hello"), "not a GGUF model"), std::pair(std::string(), "is empty"),
        std::pair(std::string("<!DOCTYPE html>"), "is a web page"),
        std::pair(whole.substr(0, whole.size() / 2), "is cut off: it has"),
        std::pair(whole.substr(0, whole.size() - 1), "is cut off: it has"),
        std::pair(whole.substr(0, 100), "fetch it again")}) {
    const Error error = load(content);
    EXPECT_NE(error.message.find(path_.string()), std::string::npos) << error.message;
    EXPECT_NE(error.message.find(words), std::string::npos) << error.message;
  }
  const auto missing =
      load_llama_backend({.path = "/nowhere.gguf", .threads = 1}, [](double) { return true; });
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace autoglm::engine
