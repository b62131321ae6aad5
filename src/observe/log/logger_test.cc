#include "observe/log/logger.h"

#include "observe/log/line.h"
#include "observe/log/noted_line.h"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

namespace autoglm::observe {
namespace {

std::string temporary(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::string(name) + std::to_string(::getpid()))).string();
}

std::vector<std::string> lines_of(const std::string& file) {
  std::ifstream in(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(JsonLine, HasTheAgreedFieldsAndIsJson) {
  std::string out;
  append_json_line(
      out, {.time = std::chrono::system_clock::time_point(std::chrono::microseconds(1700000000123456)),
            .level = LogLevel::kWarning,
            .service_name = "open-autoglm",
            .message = "say \"hi\"\n\xff",
            .trace_id = "abc",
            .fields = {{"count", 7}, {"share", 0.5}, {"ok", true}, {"who", "me"}, {"nan", std::nan("")}}});
  EXPECT_EQ(
      out,
      "{\"timestamp\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"warning\",\"service_name\":\"open-"
      "autoglm\","
      "\"message\":\"say \\\"hi\\\"\\n\uFFFD\",\"trace_id\":\"abc\",\"count\":7,\"share\":0.5,\"ok\":true,"
      "\"who\":\"me\",\"nan\":null}");
  EXPECT_NO_THROW(boost::json::parse(out));
}

TEST(JsonLine, WritesNumbersAsPrintfWould) {
  double value = 1.2345678901e-7;
  for (int i = 0; i < 400; ++i, value *= 1.1) {
    std::array<char, 32> expected{};
    std::snprintf(expected.data(), expected.size(), "%.6g", value);
    std::string out;
    append_json_line(out, {.fields = {{"v", value}}});
    EXPECT_TRUE(out.ends_with(std::string("\"v\":") + expected.data() + "}"))
        << out << " " << expected.data();
  }
  for (const auto& [number, text] : {std::pair{0.0, "0"},
                                     {1.0, "1"},
                                     {10.0, "10"},
                                     {9.9999999, "10"},
                                     {0.5, "0.5"},
                                     {100.0, "100"},
                                     {0.1, "0.1"},
                                     {1234.5, "1234.5"},
                                     {-2.5, "-2.5"}}) {
    std::string out;
    append_json_line(out, {.fields = {{"v", number}}});
    EXPECT_TRUE(out.ends_with(std::string("\"v\":") + text + "}")) << out;
  }
}

TEST(JsonLine, HasRoomForTheLongestEscapes) {
  for (const char byte : {'\x01', '\xff', '"', 'x'}) {
    const std::string text(3000, byte);
    std::string out;
    append_json_line(out, {.service_name = text, .message = text, .trace_id = text, .fields = {{"k", text}}});
    EXPECT_NO_THROW(boost::json::parse(out)) << int{byte};
    EXPECT_LE(out.size(), 4 * 6 * text.size() + 256);
  }
}

TEST(TextLine, StaysOneLine) {
  std::string out;
  append_text_line(
      out,
      {.level = LogLevel::kInfo, .message = "a\nb\x1b[2J\xff", .trace_id = "t", .fields = {{"k", "v\nw"}}});
  EXPECT_TRUE(out.ends_with(" info    a b [2J\uFFFD k=\"v\\nw\" trace_id=\"t\"")) << out;
}

TEST(TextLine, SaysNothingAboutEmptyFields) {
  std::string out;
  append_text_line(out, {.level = LogLevel::kWarning,
                         .message = "m",
                         .fields = {{"error", ""}, {"count", 0}, {"endpoint", "a"}}});
  EXPECT_TRUE(out.ends_with(" warning m count=0 endpoint=\"a\"")) << out;
}

TEST(TextLine, HasColoursOnlyWhereTheyAreShown) {
  const auto line = [](LogLevel level, bool colours) {
    std::string out;
    append_text_line(out, {.level = level, .message = "m", .fields = {{"k", 1}}, .colours = colours});
    return out;
  };
  EXPECT_EQ(line(LogLevel::kError, false).find('\x1b'), std::string::npos);
  EXPECT_NE(line(LogLevel::kError, true).find("\x1b[31merror"), std::string::npos);
  EXPECT_NE(line(LogLevel::kWarning, true).find("\x1b[33mwarning"), std::string::npos);
  EXPECT_NE(line(LogLevel::kInfo, true).find(" info    m"), std::string::npos);
}

TEST(TextLine, BeginsWithTheLocalTime) {
  ::setenv("TZ", "CST-8", 1);
  ::tzset();
  std::string out;
  append_words(out, std::chrono::system_clock::time_point(std::chrono::seconds(1700000000)), "GET /", false);
  EXPECT_EQ(out, "11-15 06:13:20 GET /");
}

TEST(Lines, TellTheirLevel) {
  for (const auto level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    std::string json;
    std::string text;
    append_json_line(json, {.level = level, .service_name = "s", .message = "m"});
    append_text_line(text, {.level = level, .message = "m"});
    EXPECT_EQ(level_of(json, LogFormat::kJson), level);
    EXPECT_EQ(level_of(text, LogFormat::kText), level);
    EXPECT_EQ(level_of(text, LogFormat::kJson), std::nullopt);
  }
  EXPECT_EQ(level_of("llama_model_loader: loaded meta data", LogFormat::kText), std::nullopt);
  EXPECT_EQ(level_of("", LogFormat::kText), std::nullopt);
}

TEST(Logger, WritesEveryLineOfManyThreads) {
  const std::string file = temporary("logger-test-");
  {
    const auto logger = Logger::create({.file = file, .queue_lines = 8192}).value();
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 500; ++i) logger->info("line", {{"i", i}}, "t");
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(logger->counts().by_level[static_cast<std::size_t>(LogLevel::kInfo)], 2000U);
    EXPECT_EQ(logger->counts().dropped, 0U);
    EXPECT_EQ(logger->counts().without_trace_id, 0U);
  }
  const auto lines = lines_of(file);
  EXPECT_EQ(lines.size(), 2000U);
  for (const std::string& line : lines) EXPECT_NO_THROW(boost::json::parse(line));
  std::filesystem::remove(file);
}

TEST(Logger, DropsAndCountsInsteadOfWaiting) {
  // A pipe without a reader: the writing thread blocks when it is full, and the callers must not.
  const std::string pipe = temporary("logger-pipe-");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::FILE* reader = nullptr;
  std::thread opener([&] { reader = std::fopen(pipe.c_str(), "r"); });
  auto logger = Logger::create({.file = pipe, .queue_lines = 16}).value();
  opener.join();
  const std::string big(4096, 'x');
  for (int i = 0; i < 1000; ++i) logger->info(big);
  EXPECT_GT(logger->counts().dropped, 0U);
  std::thread drain([&] {
    std::array<char, 65536> buffer;
    while (std::fread(buffer.data(), 1, buffer.size(), reader) > 0) {
    }
  });
  logger.reset();
  drain.join();
  std::fclose(reader);
  std::filesystem::remove(pipe);
}

TEST(Logger, LaysOutNotesLaterAndInOrder) {
  const std::string file = temporary("logger-notes-");
  {
    const auto logger = Logger::create({.file = file}).value();
    const auto layout = [](std::string_view facts, NotedLine& line) {
      line.fields("noted", {{"i", facts}}, "trace");
    };
    for (int i = 0; i < 1000; ++i) {
      std::string facts = std::to_string(i);
      const std::string_view parts[] = {std::string_view(facts).substr(0, 1),
                                        std::string_view(facts).substr(1)};
      logger->note(LogLevel::kInfo, layout, parts);
      facts.assign(facts.size(), '#');
      logger->info("said", {{"i", std::to_string(i)}});
      logger->note(LogLevel::kDebug, layout, parts);
    }
    EXPECT_EQ(logger->counts().by_level[static_cast<std::size_t>(LogLevel::kInfo)], 2000U);
    EXPECT_EQ(logger->counts().dropped, 0U);
  }
  const auto lines = lines_of(file);
  ASSERT_EQ(lines.size(), 2000U);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    EXPECT_NE(lines[i].find(i % 2 == 0 ? "noted" : "said"), std::string::npos) << lines[i];
    EXPECT_NE(lines[i].find("\"i\":\"" + std::to_string(i / 2) + '"'), std::string::npos) << lines[i];
  }
  std::filesystem::remove(file);
}

TEST(Logger, ALineWithoutMemoryIsLostAlone) {
  const std::string file = temporary("logger-memory-");
  {
    const auto logger = Logger::create({.format = LogFormat::kText, .file = file}).value();
    logger->info("before");
    logger->note(LogLevel::kInfo,
                 [](std::string_view /*facts*/, NotedLine& line) {
                   line.words("the beginning");
                   throw std::bad_alloc();
                 },
                 {});
    logger->info("after");
    while (logger->counts().dropped == 0) std::this_thread::yield();
    EXPECT_EQ(logger->counts().dropped, 1U);
  }
  const auto lines = lines_of(file);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[0].ends_with("before"));
  EXPECT_TRUE(lines[1].ends_with("after"));
  std::filesystem::remove(file);
}

TEST(Logger, FiltersByLevelAndCountsMissingTraceIds) {
  const std::string file = temporary("logger-level-");
  {
    const auto logger = Logger::create({.level = LogLevel::kWarning, .file = file}).value();
    logger->info("hidden");
    logger->warning("shown");
    logger->set_level(LogLevel::kDebug);
    logger->debug("shown too", {}, "trace");
    EXPECT_EQ(logger->counts().without_trace_id, 1U);
  }
  EXPECT_EQ(lines_of(file).size(), 2U);
  std::filesystem::remove(file);
}

TEST(Logger, WritesWordsBehindTheTime) {
  const std::string file = temporary("logger-words-");
  {
    const auto logger = Logger::create({.format = LogFormat::kText, .file = file}).value();
    logger->words(LogLevel::kDebug, "not shown");
    logger->words(LogLevel::kInfo, "GET /");
    EXPECT_EQ(logger->counts().by_level[static_cast<std::size_t>(LogLevel::kInfo)], 1U);
  }
  const auto lines = lines_of(file);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].substr(std::string_view("11-29 14:03:07").size()), " GET /");
  std::filesystem::remove(file);
}

TEST(Logger, GoesOnInANewFileAfterARotation) {
  const std::string file = temporary("logger-rotate-");
  const std::string rotated = file + ".1";
  {
    const auto logger = Logger::create({.file = file}).value();
    logger->info("before");
    while (lines_of(file).empty()) std::this_thread::yield();
    std::filesystem::rename(file, rotated);
    ASSERT_TRUE(logger->reopen());
    logger->info("after");
  }
  ASSERT_EQ(lines_of(rotated).size(), 1U);
  ASSERT_EQ(lines_of(file).size(), 1U);
  EXPECT_NE(lines_of(file)[0].find("after"), std::string::npos);
  std::filesystem::remove(file);
  std::filesystem::remove(rotated);
}

TEST(Logger, EndsThoughNobodyReadsItsLines) {
  const std::string pipe = temporary("logger-stuck-");
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const int reader = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  auto logger =
      Logger::create({.file = pipe, .queue_lines = 64, .flush_timeout = std::chrono::seconds(0)}).value();
  const std::string big(4096, 'x');
  for (int i = 0; i < 200; ++i) logger->info(big);
  logger.reset();  // without the flush timeout this would wait forever
  ::close(reader);
  std::filesystem::remove(pipe);
}

TEST(Logger, CountsLinesThatAFullDiskRefuses) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  const auto logger = Logger::create({.file = "/dev/full"}).value();
  logger->info("lost");
  while (logger->counts().dropped == 0) std::this_thread::yield();
  EXPECT_EQ(logger->counts().dropped, 1U);
}

TEST(Logger, SaysWhyAFileCannotBeOpened) {
  const auto logger = Logger::create({.file = "/proc/no/such/folder/log"});
  ASSERT_FALSE(logger);
  EXPECT_NE(logger.error().message.find("cannot open the log"), std::string::npos);
}

}  // namespace
}  // namespace autoglm::observe
