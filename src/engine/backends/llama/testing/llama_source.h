#pragma once

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// Reads llama.cpp's source for its pre-tokenizers: no interface lists them, and a list of ours would miss
/// those that the next release adds.
class LlamaSource {
 public:
  LlamaSource() {
    std::ifstream file(AUTOGLM_LLAMA_SOURCE "/src/llama-vocab.cpp");
    vocab_.assign(std::istreambuf_iterator<char>(file), {});
  }

  /// The known values of `tokenizer.ggml.pre`.
  std::vector<std::string> pre_tokenizers() const {
    constexpr std::string_view kBefore = "tokenizer_pre == \"";
    std::vector<std::string> names;
    for (std::size_t at = 0; (at = vocab_.find(kBefore, at)) != std::string::npos;) {
      at += kBefore.size();
      names.push_back(vocab_.substr(at, vocab_.find('"', at) - at));
    }
    return names;
  }

  /// The regular expressions with which they split text, each once.
  std::vector<std::string> expressions() const {
    std::vector<std::string> found;
    for (std::size_t at = 0; (at = vocab_.find("regex_exprs = {", at)) != std::string::npos;) {
      const std::size_t end = vocab_.find("};", at);
      for (; at < end; at = vocab_.find('\n', at) + 1) {
        const std::size_t text = vocab_.find_first_not_of(' ', at);
        if (vocab_[text] != '"') continue;
        std::string expression = literal(text + 1);
        if (std::ranges::find(found, expression) == found.end()) found.push_back(std::move(expression));
      }
    }
    return found;
  }

 private:
  /// The string literal whose content begins at `at`.
  std::string literal(std::size_t at) const {
    std::string text;
    for (; vocab_[at] != '"'; ++at) {
      if (vocab_[at] != '\\') {
        text += vocab_[at];
        continue;
      }
      const char escaped = vocab_[++at];
      text += escaped == 'n' ? '\n' : escaped == 'r' ? '\r' : escaped == 't' ? '\t' : escaped;
    }
    return text;
  }

  std::string vocab_;
};

}  // namespace autoglm::engine
