#include "engine/backends/llama/tokenizer.h"

#include "base/random.h"
#include "engine/backends/llama/library_log.h"
#include "engine/backends/llama/llama_backend.h"
#include "engine/backends/llama/testing/llama_source.h"

#include <gguf.h>
#include <llama-cpp.h>
#include <llama.h>
#include <unicode-regex.h>  // by a patch of ours

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <map>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {
namespace {

namespace fs = std::filesystem;

llama_model_ptr load_vocabulary(const std::string& path) {
  LibraryLog::listen();
  llama_model_params params = llama_model_default_params();
  params.vocab_only = true;
  return llama_model_ptr(llama_model_load_from_file(path.c_str(), params));
}

using GgufPtr = std::unique_ptr<gguf_context, void (*)(gguf_context*)>;

/// Writes the tiny model's vocabulary after `change`.
std::string write_vocabulary(const std::string& name, const std::function<void(gguf_context*)>& change) {
  const GgufPtr tiny(gguf_init_from_file(AUTOGLM_TINY_MODEL, {.no_alloc = true, .ctx = nullptr}), gguf_free);
  const GgufPtr changed(gguf_init_empty(), gguf_free);
  gguf_set_kv(changed.get(), tiny.get());
  change(changed.get());
  std::string path = testing::TempDir() + "vocabulary-" + name + ".gguf";
  EXPECT_TRUE(gguf_write_to_file(changed.get(), path.c_str(), true));
  return path;
}

std::string with_pre_tokenizer(const std::string& pre) {
  return write_vocabulary(pre, [&](gguf_context* file) {
    gguf_set_val_str(file, "tokenizer.ggml.pre", pre.c_str());
    gguf_set_val_u32(file, "tokenizer.ggml.seperator_token_id", 0);  // some append one to every text
  });
}

TEST(LlamaSource, FindsWhatTheLibraryKnows) {
  EXPECT_GT(LlamaSource().pre_tokenizers().size(), 50U) << "llama-vocab.cpp names them otherwise now";
  EXPECT_GT(LlamaSource().expressions().size(), 20U) << "llama-vocab.cpp writes them otherwise now";
}

/// One unit repeated, for each of `units`.
std::vector<std::string> long_texts(std::initializer_list<const char*> units) {
  std::vector<std::string> texts;
  for (const std::string unit : units) {
    std::string& run = texts.emplace_back();
    while (run.size() < 100'000) run += unit;
  }
  return texts;
}

// Each expression gets longer texts below, without the rest of tokenizing, which takes longer.
TEST(Tokenizer, TakesLongRunsWithEveryPreTokenizerOfTheLibrary) {
  const auto texts = long_texts({"a", "  ", "0", "\xE4\xB8\xAD"});
  for (const std::string& pre : LlamaSource().pre_tokenizers()) {
    SCOPED_TRACE(pre);
    const std::string path = with_pre_tokenizer(pre);
    const auto model = load_vocabulary(path);
    ASSERT_TRUE(model);
    const llama_vocab* vocab = llama_model_get_vocab(model.get());
    EXPECT_TRUE(check_vocabulary(vocab));
    for (const std::string& text : texts) {
      const auto tokens = tokenize(vocab, text, false, false);
      if (tokens) continue;
      // This pre-tokenizer looks ahead from every digit to the last one.
      EXPECT_EQ(pre + text[0], "superbpe0");
      EXPECT_EQ(tokens.error().code, ErrorCode::kInvalidArgument);
      EXPECT_EQ(tokens.error().param, "prompt");
      EXPECT_NE(tokens.error().message.find("too long to be split"), std::string::npos)
          << tokens.error().message;
    }
    fs::remove(path);
  }
}

/// All of llama.cpp's own vocabularies, of all kinds.
std::vector<fs::path> vocabularies() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(AUTOGLM_LLAMA_SOURCE "/models")) {
    if (entry.path().extension() == ".gguf") paths.push_back(entry.path());
  }
  EXPECT_GT(paths.size(), 10U);
  return paths;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Tokenizer, SaysWhatTheLibrarysAuthorsRecorded) {
  std::size_t compared = 0;
  for (const fs::path& path : vocabularies()) {
    SCOPED_TRACE(path.filename());
    const std::string texts = read(path.string() + ".inp");
    std::istringstream wanted(read(path.string() + ".out"));
    const auto model = load_vocabulary(path);
    ASSERT_TRUE(model);
    constexpr std::string_view kBetween = "\n__ggml_vocab_test__\n";
    for (std::size_t at = 0, end = 0; (end = texts.find(kBetween, at)) != std::string::npos;
         at = end + kBetween.size()) {
      std::string line;
      ASSERT_TRUE(std::getline(wanted, line));
      std::istringstream numbers(line);
      const std::vector<TokenId> recorded(std::istream_iterator<TokenId>(numbers), {});
      const std::string text = texts.substr(at, end - at);
      EXPECT_EQ(tokenize(llama_model_get_vocab(model.get()), text, false, false), recorded) << text;
      ++compared;
    }
  }
  EXPECT_GT(compared, 300U);
}

TEST(Tokenizer, TakesLongRunsWithVocabulariesOfAllKinds) {
  const auto texts = long_texts({"a", "\xE4\xB8\xAD"});
  for (const fs::path& path : vocabularies()) {
    SCOPED_TRACE(path.filename());
    const auto model = load_vocabulary(path);
    ASSERT_TRUE(model);
    for (const std::string& text : texts) {
      const auto tokens = tokenize(llama_model_get_vocab(model.get()), text, false, false);
      EXPECT_TRUE(tokens) << tokens.error().message;
    }
  }
}

TEST(Tokenizer, RefusesAVocabularyThatWouldEndTheProcess) {
  const std::string path = write_vocabulary("no-separator", [](gguf_context* file) {
    gguf_set_val_str(file, "tokenizer.ggml.pre", "roberta-bpe");  // appends a separator to every text
  });
  const auto model = load_vocabulary(path);
  ASSERT_TRUE(model);
  const auto checked = check_vocabulary(llama_model_get_vocab(model.get()));
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("does not say which"), std::string::npos);
  fs::remove(path);
}

TEST(Tokenizer, WhatTheLibraryThrowsIsAnError) {
  // A vocabulary of another kind without a token for every byte: llama.cpp looks up a missing token.
  const std::string path = write_vocabulary(
      "no-bytes", [](gguf_context* file) { gguf_set_val_str(file, "tokenizer.ggml.model", "llama"); });
  const auto model = load_vocabulary(path);
  ASSERT_TRUE(model);
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  const auto tokens = tokenize(vocab, "\xE4\xB8\xAD", false, false);
  ASSERT_FALSE(tokens);
  EXPECT_EQ(tokens.error().param, "prompt");
  EXPECT_NE(tokens.error().message.find("cannot split"), std::string::npos) << tokens.error().message;
  EXPECT_FALSE(check_vocabulary(vocab));
  fs::remove(path);
}

TEST(Tokenizer, AModelWhoseVocabularyCannotBeUsedIsNotLoaded) {
  ggml_context* tensors = nullptr;
  const GgufPtr tiny(gguf_init_from_file(AUTOGLM_TINY_MODEL, {.no_alloc = true, .ctx = &tensors}), gguf_free);
  const std::unique_ptr<ggml_context, void (*)(ggml_context*)> owned(tensors, ggml_free);
  const std::string path = write_vocabulary("whole", [&](gguf_context* file) {
    gguf_set_val_str(file, "tokenizer.ggml.pre", "roberta-bpe");
    for (ggml_tensor* each = ggml_get_first_tensor(tensors); each != nullptr;
         each = ggml_get_next_tensor(tensors, each))
      gguf_add_tensor(file, each);
  });
  std::ifstream source(AUTOGLM_TINY_MODEL, std::ios::binary);
  source.seekg(static_cast<std::streamoff>(gguf_get_data_offset(tiny.get())));
  std::ofstream(path, std::ios::binary | std::ios::app) << source.rdbuf();
  const auto loaded = load_llama_backend({.path = path}, [](double) { return true; });
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("does not say which"), std::string::npos) << loaded.error().message;
  fs::remove(path);
}

/// How llama.cpp split text before the patch, which is how the model was trained, as far as it is right.
template <class Char>
std::vector<std::size_t> split_by_std(const std::basic_string<Char>& text,
                                      const std::basic_string<Char>& pattern,
                                      const std::vector<std::size_t>& lengths) {
  using Iterator = typename std::basic_string<Char>::const_iterator;
  const std::basic_regex<Char> expression(pattern,
                                          std::regex_constants::optimize | std::regex_constants::nosubs);
  std::vector<std::size_t> pieces;
  auto begin = text.begin();
  for (const std::size_t length : lengths) {
    const auto end = begin + static_cast<std::ptrdiff_t>(length);
    std::ptrdiff_t done = 0;
    for (std::regex_iterator<Iterator> match(begin, end, expression), last; match != last; ++match) {
      if (match->position() > done) pieces.push_back(static_cast<std::size_t>(match->position() - done));
      pieces.push_back(static_cast<std::size_t>(match->length()));
      done = match->position() + match->length();
    }
    if (done < end - begin) pieces.push_back(static_cast<std::size_t>(end - begin - done));
    begin = end;
  }
  return pieces;
}

/// The form in which llama.cpp writes categories for text that has one byte per character.
std::string collapsed(const std::string& expression) {
  static const std::map<std::string, std::string> kCategories = {
      {"\\p{N}",
       "\xD1"
       "0-9"},
      {"\\p{L}",
       "\xD2"
       "A-Za-z"},
      {"\\p{P}", "\xD3!-#%-*,-/:-;?-@\\[-\\]_\\{\\}"},
      {"\\p{M}", "\xD4"},
      {"\\p{S}", "\xD5\\$\\+<->^`\\|~"}};
  std::string out;
  bool inside = false;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const bool escaped = i > 0 && expression[i - 1] == '\\';
    if (expression[i] == '[' && !escaped) inside = true;
    if (expression[i] == ']' && !escaped) inside = false;
    if (!expression.substr(i).starts_with("\\p{")) {
      out += expression[i];
      continue;
    }
    const std::size_t end = expression.find('}', i);
    std::string name = expression.substr(i, end + 1 - i);
    if (name.starts_with("\\p{L")) name = "\\p{L}";
    out += (inside ? "" : "[") + kCategories.at(name) + (inside ? "" : "]");
    i = end;
  }
  return out;
}

std::wstring wide(std::string_view text) {
  std::wstring out;
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::uint32_t code = size == 1 ? lead : lead & (0x7FU >> size);
    for (std::size_t i = 1; i < size; ++i)
      code = (code << 6U) | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
    out += static_cast<wchar_t>(code);
    at += size;
  }
  return out;
}

/// Texts of few different characters, so that runs and neighbourhoods are tested.
template <class Char>
std::basic_string<Char> random_text(Random& random, const std::basic_string<Char>& alphabet) {
  std::basic_string<Char> few;
  for (std::uint64_t i = 2 + random() % 5; i > 0; --i) few += alphabet[random() % alphabet.size()];
  std::basic_string<Char> text;
  for (std::uint64_t i = random() % 40; i > 0; --i) {
    const Char next = few[random() % few.size()];
    text.append(random() % 8 == 0 ? 1 + random() % 12 : 1, next);
  }
  return text;
}

template <class Char>
void expect_the_same(const std::basic_string<Char>& pattern, const std::basic_string<Char>& alphabet,
                     const std::string& name) {
  Random random(16);
  unicode_regex<Char> expression(pattern);
  for (int i = 0; i < 300; ++i) {
    const auto text = random_text(random, alphabet);
    const std::size_t cut = text.empty() ? 0 : random() % text.size();
    const std::vector<std::size_t> lengths = {cut, text.size() - cut};
    ASSERT_EQ(expression.split(text, lengths), split_by_std(text, pattern, lengths))
        << name << " on " << testing::PrintToString(text) << " cut at " << cut;
  }
}

TEST(UnicodeRegex, SplitsAsStdRegexDoesForEveryPreTokenizer) {
  for (const std::string& expression : LlamaSource().expressions()) {
    SCOPED_TRACE(expression.substr(0, 100));
    if (expression.find("{Han}") != std::string::npos || expression.find("{AFMoE") != std::string::npos)
      continue;  // names of functions
    if (expression.find("\\b") != std::string::npos) {
      EXPECT_THROW(unicode_regex<char>{expression}, std::runtime_error);  // likewise
      continue;
    }
    if (expression.find("\\p{") != std::string::npos) {
      const std::string alphabet = "aAzZstrevmld'09 \t\n\r\v.,!/-$+[]_(|<IMG>\xD0\xD1\xD2\xD3\xD4\xD5";
      expect_the_same<char>(collapsed(expression), alphabet, expression);
    } else {
      const std::wstring own = wide(expression);  // includes the expression's own characters, the edges of
                                                  // its ranges
      expect_the_same<wchar_t>(own, own + L"aAZ09 \n\r\v.é中가。", expression);
    }
  }
}

TEST(UnicodeRegex, TakesNoStackForARun) {
  for (const std::string& expression : LlamaSource().expressions()) {
    if (expression.find("\\p{") == std::string::npos || expression.find("{Han}") != std::string::npos ||
        expression.find("{AFMoE") != std::string::npos)
      continue;
    SCOPED_TRACE(expression.substr(0, 100));
    unicode_regex<char> split(collapsed(expression));
    for (const char unit : std::string("aA0 \n!\xD0\xD2\xD4")) {
      const std::string run(200'000, unit);
      for (const std::string& text : {run, run + "b", "b" + run, run + "\xD0"}) {
        std::size_t sum = 0;
        for (const std::size_t piece : split.split(text, {text.size()})) sum += piece;
        EXPECT_EQ(sum, text.size());
      }
    }
  }
}

TEST(UnicodeRegex, GivesUpOnTextThatTakesTooLong) {
  // Looks ahead from every digit to the last one: quadratic time.
  unicode_regex<char> split("(?=(\\d{3})+(?!\\d))");
  EXPECT_EQ(split.split("1234567", {7}), (std::vector<std::size_t>{1, 0, 3, 0, 3}));
  const std::string digits(1'000'000, '1');
  EXPECT_THROW(split.split(digits, {digits.size()}), std::runtime_error);
}

TEST(UnicodeRegex, GivesUpOnTextThatTakesTooMuchMemory) {
  unicode_regex<char> split("(?:ab|a)*c");  // each repetition leaves another way to try
  const std::string text(2'000'000, 'a');
  std::string says;
  try {
    split.split(text, {text.size()});
  } catch (const std::runtime_error& error) {
    says = error.what();
  }
  EXPECT_EQ(says, "the text takes too much memory to be split into words");
}

TEST(UnicodeRegex, SaysWhatItDoesNotKnow) {
  for (const char* pattern :
       {"a+?", "(a*)*", "^a", "\\1", "a.", "[a", "(a", "a)", "(?<a)", "\\w", "[[:alpha:]]", "a**"})
    EXPECT_THROW(unicode_regex<char>{pattern}, std::runtime_error) << pattern;
}

}  // namespace
}  // namespace autoglm::engine
