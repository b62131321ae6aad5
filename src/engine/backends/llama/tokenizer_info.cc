#include "engine/backends/llama/tokenizer_info.h"

#include "base/json_string.h"
#include "base/utf8.h"

#include <llama.h>

#include <fmt/format.h>

#include <array>
#include <initializer_list>
#include <iterator>
#include <utility>

namespace autoglm::engine {

namespace {

/// Texts in a file may be any bytes.
std::string json_text(std::string_view bytes) {
  std::string text;
  append_valid_utf8(text, bytes);
  return json_string(text);
}

std::string metadata(const llama_model* model, const char* key) {
  std::array<char, 256> buffer{};
  const std::int32_t size = llama_model_meta_val_str(model, key, buffer.data(), buffer.size());
  return size < 0 ? std::string() : std::string(buffer.data());
}

}  // namespace

std::string tokenizer_info(const llama_model* model, std::uint32_t context_length,
                           std::string_view chat_template) {
  const llama_vocab* vocab = llama_model_get_vocab(model);
  std::string out = fmt::format(
      R"({{"tokenizer_class":{},"pre_tokenizer":{},"vocab_size":{},"model_max_length":{},"add_bos_token":{},)"
      R"("add_eos_token":{})",
      json_text(metadata(model, "tokenizer.ggml.model")), json_text(metadata(model, "tokenizer.ggml.pre")),
      llama_vocab_n_tokens(vocab), context_length, llama_vocab_get_add_bos(vocab),
      llama_vocab_get_add_eos(vocab));
  for (const auto& [name, token] :
       {std::pair("bos_token", llama_vocab_bos(vocab)), std::pair("eos_token", llama_vocab_eos(vocab)),
        std::pair("pad_token", llama_vocab_pad(vocab)), std::pair("sep_token", llama_vocab_sep(vocab))}) {
    fmt::format_to(std::back_inserter(out), R"(,"{}":{})", name,
                   token == LLAMA_TOKEN_NULL ? "null" : json_text(llama_vocab_get_text(vocab, token)));
  }
  out += R"(,"added_tokens_decoder":{)";
  for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
    const bool special = llama_vocab_is_control(vocab, token);
    if (!special && (llama_vocab_get_attr(vocab, token) & LLAMA_TOKEN_ATTR_USER_DEFINED) == 0) continue;
    fmt::format_to(std::back_inserter(out), R"({}"{}":{{"content":{},"special":{}}})",
                   out.ends_with('{') ? "" : ",", token, json_text(llama_vocab_get_text(vocab, token)),
                   special);
  }
  out += R"(},"chat_template":)";
  return out + json_text(chat_template) + "}";
}

}  // namespace autoglm::engine
