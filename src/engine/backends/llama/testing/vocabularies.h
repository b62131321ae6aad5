#pragma once

#include "engine/backends/llama/library_log.h"
#include "engine/backends/llama/testing/llama_source.h"
#include "inference/request.h"

#include <gguf.h>
#include <llama-cpp.h>
#include <llama.h>

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace autoglm::engine {

/// A vocabulary for each pre-tokenizer that llama.cpp knows, and one for each other kind of tokenizer. Each
/// is loaded when it is first asked for.
class Vocabularies {
 public:
  struct Entry {
    std::string pre;  // empty: use `path` unchanged
    std::string path;
    bool writes_bytes = false;  // its tokens can spell any text
    llama_model_ptr model;

    const llama_vocab* vocab() const { return llama_model_get_vocab(model.get()); }
  };

  Vocabularies() {
    LibraryLog::listen();
    // These take the names of tokens literally, not as encoded bytes.
    const std::set<std::string> raw = {"gemma4", "granite-embed-multi-311m", "sarvam-moe", "whitespace"};
    for (const std::string& pre : LlamaSource().pre_tokenizers())
      entries_.push_back({.pre = pre, .writes_bytes = !raw.contains(pre)});
    for (const char* other : {"llama-spm", "bert-bge"})
      entries_.push_back({.path = std::string(AUTOGLM_LLAMA_SOURCE "/models/ggml-vocab-") + other + ".gguf"});
  }

  std::size_t size() const { return entries_.size(); }
  /// The entry's model is null if it cannot be loaded.
  const Entry& at(std::size_t index) {
    Entry& entry = entries_.at(index);
    if (!entry.model) entry.model = entry.pre.empty() ? load(entry.path) : load_with(entry.pre);
    return entry;
  }

  /// The text of `tokens`; special tokens appear by their names.
  static std::string text_of(const llama_vocab* vocab, std::span<const TokenId> tokens) {
    std::string text;
    std::array<char, 512> piece;
    for (const TokenId token : tokens) {
      const int size = llama_token_to_piece(vocab, token, piece.data(), piece.size(), 0, true);
      if (size > 0) text.append(piece.data(), static_cast<std::size_t>(size));
    }
    return text;
  }

 private:
  static llama_model_ptr load(const std::string& path) {
    llama_model_params params = llama_model_default_params();
    params.vocab_only = true;
    return llama_model_ptr(llama_model_load_from_file(path.c_str(), params));
  }
  /// The tiny model's tokens: all bytes and some words.
  static llama_model_ptr load_with(const std::string& pre) {
    using File = std::unique_ptr<gguf_context, decltype(&gguf_free)>;
    const File tiny(gguf_init_from_file(AUTOGLM_TINY_MODEL, {.no_alloc = true, .ctx = nullptr}), gguf_free);
    const File file(gguf_init_empty(), gguf_free);
    gguf_set_kv(file.get(), tiny.get());
    gguf_set_val_str(file.get(), "tokenizer.ggml.pre", pre.c_str());
    gguf_set_val_u32(file.get(), "tokenizer.ggml.seperator_token_id", 0);  // some append one to every text
    const int memory = ::memfd_create("vocabulary", MFD_CLOEXEC);
    const std::string path = "/proc/self/fd/" + std::to_string(memory);
    llama_model_ptr model;
    if (gguf_write_to_file(file.get(), path.c_str(), true)) model = load(path);
    ::close(memory);
    return model;
  }

  std::vector<Entry> entries_;
};

}  // namespace autoglm::engine
