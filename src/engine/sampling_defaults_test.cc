#include "engine/sampling_defaults.h"

#include "engine/backends/llama/gguf_header.h"
#include "engine/backends/llama/testing/model_with_metadata.h"
#include "engine/models/catalogue.h"
#include "engine/testing/engine_fixture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>

namespace autoglm {

void PrintTo(const SamplingDefault& number, std::ostream* out) {
  *out << number.name << " " << number.value << " (" << number.source << ")";
}

namespace engine {
namespace {

namespace fs = std::filesystem;

/// A folder for one test, with the tiny model in it, whose metadata the test adds to.
class Folder {
 public:
  Folder()
      : path_(fs::path(::testing::TempDir()) /
              (std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) +
               std::to_string(::getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }

  fs::path model() const { return path_ / "m.gguf"; }
  void write_model(const std::vector<std::pair<std::string, MetadataValue>>& metadata) const {
    ASSERT_TRUE(write_with_metadata(AUTOGLM_TINY_MODEL, model().string(), metadata));
  }
  void write_generation_config(std::string_view text) const {
    std::ofstream(path_ / "generation_config.json") << text;
  }

 private:
  fs::path path_;
};

/// The defaults of a file, as shown by the engine that has loaded it.
std::vector<SamplingDefault> shown(const fs::path& file, EngineConfig config = {}) {
  config.path = file.string();
  EngineFixture fixture(config, [file](const auto& progress) {
    return load_llama_backend({.path = file.string(), .context = 64, .max_sequences = 2, .max_batch = 16},
                              progress);
  });
  fixture.run(fixture.loaded());
  EXPECT_EQ(fixture.engine().status().state, EndpointStatus::State::kReady)
      << fixture.engine().status().detail;
  return fixture.engine().card().sampling;
}

/// Plain sampling, except for `others`.
std::vector<SamplingDefault> wanted(const std::vector<SamplingDefault>& others) {
  std::vector<SamplingDefault> all = explain({});
  for (SamplingDefault& number : all) {
    for (const SamplingDefault& other : others) {
      if (other.name == number.name) number = other;
    }
  }
  return all;
}

const std::vector<std::pair<std::string, MetadataValue>> kMetadata = {
    {"general.sampling.temp", 0.2F},
    {"general.sampling.top_p", 0.95F},
    {"general.sampling.top_k", 20},
    {"general.sampling.min_p", 0.05F},
    {"general.sampling.penalty_repeat", 1.1F}};

TEST(SamplingDefaults, ComeFromTheFilesMetadata) {
  const Folder folder;
  folder.write_model(kMetadata);
  EXPECT_EQ(shown(folder.model()), wanted({{"temperature", 0.2, "gguf"},
                                           {"top_p", 0.95, "gguf"},
                                           {"top_k", 20, "gguf"},
                                           {"min_p", 0.05, "gguf"},
                                           {"repetition_penalty", 1.1, "gguf"}}));
}

TEST(SamplingDefaults, ComeFromTheGenerationConfigBesideTheFileWhichWins) {
  const Folder folder;
  folder.write_model(kMetadata);
  folder.write_generation_config(R"({"do_sample": true, "temperature": 0.7, "top_k": 40})");
  EXPECT_EQ(shown(folder.model()), wanted({{"temperature", 0.7, "generation_config.json"},
                                           {"top_p", 0.95, "gguf"},
                                           {"top_k", 40, "generation_config.json"},
                                           {"min_p", 0.05, "gguf"},
                                           {"repetition_penalty", 1.1, "gguf"}}));
}

TEST(SamplingDefaults, ComeFromTheConfigurationWhichWins) {
  const Folder folder;
  folder.write_model(kMetadata);
  folder.write_generation_config(R"({"temperature": 0.7})");
  EngineConfig config;
  config.sampling.temperature = 1.0;
  config.sampling.frequency_penalty = 0.5;
  EXPECT_EQ(shown(folder.model(), config), wanted({{"temperature", 1, "configuration"},
                                                   {"top_p", 0.95, "gguf"},
                                                   {"top_k", 20, "gguf"},
                                                   {"min_p", 0.05, "gguf"},
                                                   {"frequency_penalty", 0.5, "configuration"},
                                                   {"repetition_penalty", 1.1, "gguf"}}));
}

TEST(SamplingDefaults, ComeFromTheCatalogueWhichWinsOverTheModelsFiles) {
  ModelFacts facts;
  facts.sampling.source = "gguf";
  facts.sampling.numbers.temperature = 0.6;
  facts.sampling.numbers.min_p = 0.1;
  for (const char* name :
       {"qwen2.5-7b-instruct", "hf:Qwen/Qwen2.5-7B-Instruct-GGUF:Q8_0", "Qwen/Qwen2.5-7B-Instruct-GGUF"}) {
    EngineConfig config;
    config.path = name;
    const SamplingDefaults defaults = sampling_defaults(config, facts);
    EXPECT_EQ(explain(defaults.layers), wanted({{"temperature", 0.7, "catalogue"},
                                                {"top_p", 0.8, "catalogue"},
                                                {"top_k", 20, "catalogue"},
                                                {"min_p", 0.1, "gguf"},
                                                {"repetition_penalty", 1.05, "catalogue"}}))
        << name;
    EXPECT_EQ(defaults.params.temperature, 0.7);
  }
}

TEST(SamplingDefaults, ASystemMessageComesFromTheConfigurationOrTheCatalogue) {
  EngineConfig config;
  config.path = kDefaultModel;
  EXPECT_NE(default_system_message(config), "");
  config.generation_defaults = GenerationDefaults::kNone;
  EXPECT_EQ(default_system_message(config), "");
  config.system_message = "Answer briefly.";
  EXPECT_EQ(default_system_message(config), "Answer briefly.");
  config.generation_defaults.reset();
  EXPECT_EQ(default_system_message(config), "Answer briefly.");
  config.system_message.clear();
  config.path = "/a/file.gguf";
  EXPECT_EQ(default_system_message(config), "");
}

TEST(SamplingDefaults, OfEveryModelOfTheCatalogueAreKnownAndInRange) {
  for (const CatalogueEntry& entry : catalogue()) {
    EXPECT_TRUE(entry.sampling.temperature) << entry.name;
    SamplingNumbers copy;
    for_each_sampling_number([&](std::string_view name, auto member, auto, const auto&) {
      if (entry.sampling.*member)
        EXPECT_EQ(set_sampling_number(copy, name, *(entry.sampling.*member)), std::nullopt) << entry.name;
    });
    EXPECT_EQ(copy, entry.sampling);
  }
}

TEST(SamplingDefaults, NoneLeavesWhatTheConfigurationSays) {
  const Folder folder;
  folder.write_model(kMetadata);
  folder.write_generation_config(R"({"temperature": 0.7})");
  EngineConfig config;
  config.generation_defaults = GenerationDefaults::kNone;
  EXPECT_EQ(shown(folder.model(), config), wanted({}));
  config.sampling.top_k = 5;
  EXPECT_EQ(shown(folder.model(), config), wanted({{"top_k", 5, "configuration"}}));
}

TEST(SamplingDefaults, SayWhatIsNotHeeded) {
  const Folder folder;
  folder.write_model({{"general.sampling.temp", 5.0F},
                      {"general.sampling.top_p", "0.9"},
                      {"general.sampling.top_k", -1},
                      {"general.sampling.mirostat", 2}});
  const auto header = read_gguf_header(folder.model().string());
  ASSERT_TRUE(header) << header.error().message;
  SamplingNumbers numbers;
  numbers.top_k = 0;
  EXPECT_EQ(header->sampling, numbers);
  const ModelFacts facts{.file = folder.model().string(),
                         .sampling = {.source = "gguf", .numbers = header->sampling},
                         .remarks = header->remarks};
  folder.write_generation_config("not JSON");
  EXPECT_EQ(sampling_defaults({}, facts).remarks.size(), 4U);
  folder.write_generation_config(R"({"min_p": 2})");
  EXPECT_EQ(
      sampling_defaults({}, facts).remarks,
      (std::vector<std::string>{"general.sampling.temp must be at least 0 and at most 2, got 5",
                                "general.sampling.top_p must be a number",
                                "general.sampling.mirostat is something that this server does not do",
                                "generation_config.json: min_p must be at least 0 and at most 1, got 2"}));
}

std::string text_of(EngineFixture& fixture, std::uint64_t seed, std::optional<double> temperature = {}) {
  GenerateRequest work = ask("How do seeds matter?", 24, seed);
  work.sampling.temperature = temperature;
  return fixture.run(work).texts.at(0);
}

TEST(SamplingDefaults, AreWhatARequestGetsThatDoesNotSay) {
  FakeEngine plain;
  EngineConfig config;
  config.sampling.temperature = 0.0;
  FakeEngine greedy({}, config);
  EXPECT_NE(text_of(*plain.fixture, 1), text_of(*plain.fixture, 2));
  EXPECT_EQ(text_of(*greedy.fixture, 1), text_of(*greedy.fixture, 2));
  EXPECT_EQ(text_of(*greedy.fixture, 1), text_of(*plain.fixture, 1, 0.0));
  // The request's own value takes precedence, and a seed gives the same answer whatever the defaults are.
  EXPECT_EQ(text_of(*greedy.fixture, 1, 1.0), text_of(*plain.fixture, 1));
}

}  // namespace
}  // namespace engine
}  // namespace autoglm
