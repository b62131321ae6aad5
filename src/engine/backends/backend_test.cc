// The conformance suites of a backend's parts, run over every implementation; and what is llama.cpp's alone.
#include "engine/backends/llama/llama_backend.h"
#include "engine/testing/chat_format_conformance.h"
#include "engine/testing/fake_backend.h"
#include "engine/testing/stepper_conformance.h"
#include "engine/testing/vocabulary_conformance.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>

namespace autoglm::engine {
namespace {

using Implementation = BackendImplementation;

Backend make_fake() {
  return make_fake_backend(
      {.context = 256, .cells = Implementation::kCells, .max_sequences = Implementation::kSequences});
}

Backend make_llama() {
  const LlamaOptions options{.path = AUTOGLM_TINY_MODEL,
                             .context = 256,
                             .cache_cells = Implementation::kCells,
                             .max_sequences = Implementation::kSequences,
                             .max_batch = Implementation::kBatch,
                             .threads = 3};
  return load_llama_backend(options, [](double) { return true; }).value();
}

const auto kImplementations =
    ::testing::Values(Implementation{"Fake", make_fake}, Implementation{"Llama", make_llama});
const auto kName = [](const auto& info) { return std::string(info.param.name); };

INSTANTIATE_TEST_SUITE_P(All, VocabularyConformance, kImplementations, kName);
INSTANTIATE_TEST_SUITE_P(All, ChatFormatConformance, kImplementations, kName);
INSTANTIATE_TEST_SUITE_P(All, StepperConformance, kImplementations, kName);

TEST(BackendConformance, TheImplementationsShareSaveAndComputeByThreads) {
  // Otherwise the suite of Stepper would skip what the scheduler needs most.
  for (const auto& make : {make_fake, make_llama}) {
    const Backend backend = make();
    EXPECT_TRUE(backend.stepper->facts().shares_prefixes);
    EXPECT_GT(backend.stepper->facts().cell_bytes, 0U);
    EXPECT_GT(backend.stepper->facts().threads, 1U);
  }
}

TEST(LlamaBackendChat, JsonBeginsWithJsonAndNotWithMarksAroundIt) {
  const auto backend = make_llama();
  ChatPrompt chat;
  chat.messages.push_back({.role = "user", .content = "hello"});
  const OutputFormat format{OutputFormat::Kind::kJsonSchema, R"({"type": "object"})"};
  const auto rendered = backend.chat->render(chat, format);
  ASSERT_TRUE(rendered.has_value()) << rendered.error().message;
  EXPECT_FALSE(rendered->make_parser) << "nobody would take the marks off again";
  EXPECT_TRUE(rendered->constraint->allows(backend.vocabulary->tokenize("{", false, false).value().front()));
  EXPECT_FALSE(rendered->constraint->allows(backend.vocabulary->tokenize("`", false, false).value().front()));
}

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
