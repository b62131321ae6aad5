#pragma once

#include "base/redact.h"
#include "base/result.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace autoglm::engine {

/// What somebody means who names a model: a file of theirs, or one that can be fetched and is then kept in
/// the cache. Pure; nothing was looked up.
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
  std::string repository;          ///< "ORG/REPO" of a hub
  std::string wanted;              ///< FILE or QUANT; empty: the usual one
  std::string called;              ///< by clients, unless the configuration says otherwise
  std::filesystem::path folder{};  ///< of what is fetched, below the cache
  std::string file{};              ///< of a kUrl: its name in that folder

  bool is_fetched() const { return kind != Kind::kPath; }
  /// For logs and messages: an address may carry a token.
  std::string shown() const { return without_secrets(text); }

  /// `exists` is whether there is a file or folder of this name. Errors: kInvalidArgument for a name that
  /// breaks its form, kNotFound (with what is known and near) for a word that is none.
  static Result<ModelName> parse(std::string_view text, bool exists);
};

/// Whether `path`, of a file in a repository, stays in the folder it is put into: relative, without "..",
/// control characters and backslashes. Servers' words are checked as users' are.
bool is_safe_path(std::string_view path);

}  // namespace autoglm::engine
