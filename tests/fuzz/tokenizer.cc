// Text for every pre-tokenizer that llama.cpp knows, and for its other kinds of tokenizers.
//
// An input is a byte and text, in which 0xFF and a byte N stand for 8 * (N + 1) more copies of the preceding
// character. The first byte chooses the vocabulary and how the text is read: as plain text; with the names of
// special tokens as tokens; or with invalid UTF-8 left in it, which no client can send.
#include "engine/backends/llama/tokenizer.h"

#include "base/utf8.h"
#include "engine/backends/llama/testing/vocabularies.h"
#include "fuzzing.h"

#include <string>
#include <string_view>

namespace {

using namespace autoglm;
using fuzzing::expect;

constexpr std::size_t kMostText = 1024;
constexpr std::size_t kMostInvalid = 64;  // llama.cpp throws and catches an exception at each such byte

std::string with_runs(std::string_view input) {
  std::string text;
  std::size_t last = 0;  // beginning of the last character
  for (std::size_t i = 0; i < input.size() && text.size() < kMostText; ++i) {
    if (input[i] != '\xFF') {
      if ((static_cast<unsigned char>(input[i]) & 0xC0U) != 0x80) last = text.size();
      text += input[i];
      continue;
    }
    if (++i == input.size()) break;
    const std::string character = text.substr(last);
    for (unsigned count = 8 * (static_cast<unsigned char>(input[i]) + 1U);
         count > 0 && text.size() < kMostText; --count)
      text += character;
    last = text.size() - character.size();
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static engine::Vocabularies vocabularies;
  const auto& chosen = vocabularies.at(data[0] % vocabularies.size());
  const std::size_t way = data[0] / vocabularies.size();
  expect(chosen.model != nullptr, "a vocabulary is loaded");
  const llama_vocab* vocab = chosen.vocab();
  const std::string given = with_runs(fuzzing::text_of(data + 1, size - 1));
  std::string text;
  if (way < 2) {
    append_valid_utf8(text, given);
  } else {
    text = given.substr(0, kMostInvalid);
  }
  const auto tokens = engine::tokenize(vocab, text, false, way == 1);
  if (!tokens) {
    expect(tokens.error().code == ErrorCode::kInvalidArgument && tokens.error().param == "prompt",
           "a text is refused as the client's mistake");
    return 0;
  }
  // Of an invalid byte three are made, which say so.
  expect(tokens->size() <= 3 * text.size() + 2, "a token says a byte at least");
  for (const TokenId token : *tokens)
    expect(token >= 0 && token < llama_vocab_n_tokens(vocab), "a token is one of the vocabulary's");
  if (chosen.writes_bytes && way < 2)
    expect(engine::Vocabularies::text_of(vocab, *tokens) == text, "tokens say what the text did");
  return 0;
}
