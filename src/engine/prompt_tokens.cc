#include "engine/prompt_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

namespace autoglm::engine {

namespace {

constexpr std::size_t kMostBadWords = 256;  // each is compared with the answer's end before every token
constexpr std::size_t kMostBadWordBytes = std::size_t{16} << 10U;

}  // namespace

Result<std::vector<TokenId>> infill_tokens(const Vocabulary& vocabulary, const TextPrompt& prompt,
                                           bool add_special) {
  const VocabularyFacts& facts = vocabulary.facts();
  if (!facts.infill) {
    return fail(invalid_field(
        "suffix", "suffix is for models with tokens for filling in the middle, and this one has none",
        "unsupported_parameter"));
  }
  // Programs are full of text that looks like special tokens, so it stays text.
  const auto before = vocabulary.tokenize(prompt.text, false, false);
  if (!before) return fail(before.error());
  const auto behind = vocabulary.tokenize(prompt.suffix, false, false);
  if (!behind) return fail(behind.error());
  std::vector<TokenId> tokens;
  if (add_special && facts.adds_bos) {
    const auto nothing = vocabulary.tokenize("", true, false);
    if (!nothing) return fail(nothing.error());
    if (!nothing->empty()) tokens.push_back(nothing->front());
  }
  tokens.push_back(facts.infill->prefix);
  tokens.insert(tokens.end(), before->begin(), before->end());
  tokens.push_back(facts.infill->suffix);
  tokens.insert(tokens.end(), behind->begin(), behind->end());
  tokens.push_back(facts.infill->middle);
  return tokens;
}

Result<std::vector<TokenId>> chat_tokens(const Vocabulary& vocabulary, const RenderedChat& chat,
                                         bool add_special) {
  const std::string_view text = chat.text;
  if (chat.plain.empty()) return vocabulary.tokenize(text, add_special, true);
  std::vector<TokenId> tokens;
  std::size_t read = 0;
  const auto read_to = [&](std::size_t end, bool parse_special) -> Result<void> {
    if (read == end) return {};
    const auto more =
        vocabulary.tokenize(text.substr(read, end - read), add_special && read == 0, parse_special);
    if (!more) return fail(more.error());
    tokens.insert(tokens.end(), more->begin(), more->end());
    read = end;
    return {};
  };
  for (const auto& [begin, end] : chat.plain) {
    if (auto done = read_to(begin, true); !done) return fail(done.error());
    if (auto done = read_to(end, false); !done) return fail(done.error());
  }
  if (auto done = read_to(text.size(), true); !done) return fail(done.error());
  return tokens;
}

bool truncate_prompt(std::uint32_t context_length, const GenerateRequest& work,
                     std::vector<TokenId>& tokens) {
  if (!work.truncation) return false;
  const std::int64_t left = std::int64_t{context_length} - work.stop.max_tokens.value_or(1);
  const std::int64_t wanted = work.truncation->tokens < 0 ? left : work.truncation->tokens;
  const auto kept = static_cast<std::size_t>(std::max<std::int64_t>(wanted, 0));
  if (tokens.size() <= kept) return false;
  if (work.truncation->keeps_beginning) {
    tokens.resize(kept);
  } else {
    tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(kept));
  }
  return true;
}

Result<std::vector<std::vector<TokenId>>> bad_tokens_of(const Vocabulary& vocabulary,
                                                        const GenerateRequest& work) {
  std::size_t bytes = 0;
  for (const std::string& word : work.bad_words) bytes += word.size();
  if (work.bad_words.size() > kMostBadWords || bytes > kMostBadWordBytes) {
    return fail(invalid_field(
        "bad_words", fmt::format("bad_words takes at most {} words of {} bytes together, got {} of {}",
                                 kMostBadWords, kMostBadWordBytes, work.bad_words.size(), bytes)));
  }
  std::vector<std::vector<TokenId>> banned;
  for (const std::string& word : work.bad_words) {
    const std::size_t begin = std::min(word.find_first_not_of(' '), word.size());
    for (const char* before : {"", " "}) {
      auto tokens = vocabulary.tokenize(before + word.substr(begin), false, false);
      if (!tokens) return fail(tokens.error());
      if (!tokens->empty() && std::ranges::find(banned, *tokens) == banned.end())
        banned.push_back(std::move(*tokens));
    }
  }
  return banned;
}

}  // namespace autoglm::engine
