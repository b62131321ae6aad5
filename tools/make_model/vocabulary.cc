#include "vocabulary.h"

#include "base/assert.h"

#include <array>
#include <span>
#include <string_view>
#include <unordered_map>

namespace autoglm::make_model {
namespace {

// Two of them are not ASCII, because JSON, SSE and stop strings must carry those too.
constexpr std::array kWords = {
    "the",   "of",     "and",   "to",    "in",     "is",    "that",  "it",    "was",   "for",   "on",
    "are",   "with",   "as",    "his",   "they",   "be",    "at",    "one",   "have",  "this",  "from",
    "or",    "had",    "by",    "hot",   "but",    "some",  "what",  "there", "we",    "can",   "out",
    "other", "were",   "all",   "your",  "when",   "up",    "use",   "word",  "how",   "said",  "an",
    "each",  "she",    "which", "do",    "their",  "time",  "if",    "will",  "way",   "about", "many",
    "then",  "them",   "would", "write", "like",   "so",    "these", "her",   "long",  "make",  "thing",
    "see",   "him",    "two",   "has",   "look",   "more",  "day",   "could", "go",    "come",  "did",
    "my",    "sound",  "no",    "most",  "number", "who",   "over",  "know",  "water", "than",  "call",
    "first", "people", "may",   "down",  "side",   "been",  "now",   "find",  "any",   "new",   "work",
    "part",  "take",   "get",   "place", "made",   "live",  "where", "after", "back",  "river", "little",
    "round", "man",    "year",  "came",  "show",   "every", "good",  "me",    "你好",  "世界"};
constexpr std::string_view kPunctuation = ",.;:!?-\n";

constexpr char kChatTemplate[] =
    R"({%- if tools %}{{ '<|im_start|>system\n# Tools\n\nThese functions may be called:\n<tools>' }}{%- for tool in tools %}{{ '\n' }}{{ tool | tojson }}{%- endfor %}{{ '\n</tools>\n\nFor each call write\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' }}{%- endif %}{%- for message in messages %}{%- if message.role == 'tool' %}{{ '<|im_start|>user\n<tool_response>\n' + message.content + '\n</tool_response><|im_end|>\n' }}{%- else %}{{ '<|im_start|>' + message.role + '\n' }}{%- if message.content %}{{ message.content }}{%- endif %}{%- if message.tool_calls %}{%- for tool_call in message.tool_calls %}{%- if not loop.first or message.content %}{{ '\n' }}{%- endif %}{{ '<tool_call>\n{"name": "' + tool_call.function.name + '", "arguments": ' }}{{ tool_call.function.arguments | tojson }}{{ '}\n</tool_call>' }}{%- endfor %}{%- endif %}{{ '<|im_end|>\n' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{%- endif %})";

std::string utf8(std::uint32_t code_point) {
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0U | (code_point >> 6U)), static_cast<char>(0x80U | (code_point & 0x3FU))};
}

/// GPT-2's alphabet: each byte as a printable character, unchanged if it is printable itself.
std::array<std::string, 256> byte_alphabet() {
  std::array<std::string, 256> alphabet;
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    alphabet[byte] = utf8(printable ? byte : next++);
  }
  return alphabet;
}

class Builder {
 public:
  Builder() : alphabet_(byte_alphabet()) {
    for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) token(special);
    for (const std::string& letter : alphabet_) token(letter);
    for (const char* word : kWords) vocabulary_.words.push_back(word_token(std::string(" ") + word));
    for (const char mark : kPunctuation) vocabulary_.words.push_back(token(letter_of(mark)));
  }

  Vocabulary finish(std::int32_t minimum_size) {
    for (int i = 0; vocabulary_.size() < minimum_size; ++i) token(letter_of(' ') + "w" + std::to_string(i));
    return std::move(vocabulary_);
  }

 private:
  const std::string& letter_of(char byte) const { return alphabet_[static_cast<unsigned char>(byte)]; }

  std::int32_t token(const std::string& text) {
    const auto [position, added] = ids_.try_emplace(text, vocabulary_.size());
    if (added) vocabulary_.tokens.push_back(text);
    return position->second;
  }

  /// Merges grow a word from its space to the right, so that words with a common beginning share merges, and
  /// no merge of one word can break into another.
  std::int32_t word_token(std::string_view word) {
    std::string prefix = letter_of(word.front());
    for (const char byte : word.substr(1)) {
      const std::string& letter = letter_of(byte);
      if (!ids_.contains(prefix + letter)) vocabulary_.merges.push_back(prefix + " " + letter);
      prefix += letter;
      token(prefix);
    }
    return token(prefix);
  }

  const std::array<std::string, 256> alphabet_;
  Vocabulary vocabulary_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

}  // namespace

Vocabulary build_vocabulary(std::int32_t minimum_size) {
  Vocabulary vocabulary = Builder().finish(minimum_size);
  AUTOGLM_ASSERT(vocabulary.words.size() == 128, "seven bits choose a word");
  return vocabulary;
}

void describe_vocabulary(const Vocabulary& vocabulary, GgufFile& file) {
  constexpr std::int32_t kNormal = 1;
  constexpr std::int32_t kControl = 3;
  std::vector<std::int32_t> types(vocabulary.tokens.size(), kNormal);
  for (std::int32_t id = 0; id < Vocabulary::kSpecials; ++id) types[static_cast<std::size_t>(id)] = kControl;

  file.set("tokenizer.ggml.model", "gpt2");
  file.set("tokenizer.ggml.pre", "smollm");
  file.set("tokenizer.ggml.tokens", vocabulary.tokens);
  file.set("tokenizer.ggml.token_type", std::span<const std::int32_t>(types));
  file.set("tokenizer.ggml.merges", vocabulary.merges);
  file.set("tokenizer.ggml.bos_token_id", std::uint32_t{Vocabulary::kEndOfText});
  file.set("tokenizer.ggml.eos_token_id", std::uint32_t{Vocabulary::kImEnd});
  file.set("tokenizer.ggml.add_bos_token", true);
  file.set("tokenizer.chat_template", kChatTemplate);
}

}  // namespace autoglm::make_model
