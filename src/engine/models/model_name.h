#pragma once

#include "base/redact.h"
#include "base/result.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace autoglm::engine {

/// A model as a user names it: a file, or a model that can be fetched and is then kept in the cache. Pure:
/// nothing has been looked up.
struct ModelName {
  enum class Kind : std::uint8_t {
    kPath,         ///< a file, or a folder with one model
    kCatalogue,    ///< a short name; `repository` and `wanted` are its entry's
    kHuggingFace,  ///< hf:ORG/REPO[:FILE or QUANT]; a bare ORG/REPO too
    kModelScope,   ///< modelscope:ORG/REPO[:FILE or QUANT]
    kUrl,          ///< https://…/x.gguf
  };
  Kind kind = Kind::kPath;
  std::string text;                ///< as written
  std::string repository;          ///< "ORG/REPO" on a hub
  std::string wanted;              ///< FILE or QUANT; empty: the default quantization
  std::string called;              ///< the name for clients, unless the configuration says otherwise
  std::filesystem::path folder{};  ///< of a fetched model, below the cache
  std::string file{};              ///< for a kUrl: its name in that folder

  bool is_fetched() const { return kind != Kind::kPath; }
  /// For logs and messages, since a URL may carry a token.
  std::string shown() const { return without_secrets(text); }

  /// `exists`: whether a file or folder of this name exists. Errors: kInvalidArgument for a malformed name,
  /// kNotFound for an unknown word, with the known names near it.
  static Result<ModelName> parse(std::string_view text, bool exists);
};

/// Whether `path`, of a file in a repository, stays inside its target folder: relative, without "..", control
/// characters and backslashes. Paths from servers are checked like paths from users.
bool is_safe_path(std::string_view path);

}  // namespace autoglm::engine
