#include "engine/models/model_name.h"

#include "base/suggest.h"
#include "engine/models/catalogue.h"
#include "http/url.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace autoglm::engine {

namespace {

namespace fs = std::filesystem;
using Kind = ModelName::Kind;

bool is_word(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  };
  return !text.empty() && text.size() <= 96 && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, allowed) && text.find("..") == std::string_view::npos;
}

bool is_repository(std::string_view text) {
  const std::size_t slash = text.find('/');
  return slash != std::string_view::npos && is_word(text.substr(0, slash)) && is_word(text.substr(slash + 1));
}

/// "ORG/REPO[:FILE or QUANT]".
Result<ModelName> in_a_hub(Kind kind, std::string_view text, std::string_view rest) {
  const std::size_t colon = std::min(rest.find(':'), rest.size());
  const std::string_view repository = rest.substr(0, colon);
  const std::string_view wanted = colon < rest.size() ? rest.substr(colon + 1) : "";
  if (!is_repository(repository) || (colon < rest.size() && !is_safe_path(wanted))) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("\"{}\" is not ORG/REPO, ORG/REPO:FILE.gguf or ORG/REPO:QUANT (as in {}"
                            "Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M)",
                            text, kind == Kind::kModelScope ? "modelscope:" : "hf:"));
  }
  return ModelName{.kind = kind,
                   .text = std::string(text),
                   .repository = std::string(repository),
                   .wanted = std::string(wanted),
                   .called = std::string(repository),
                   .folder = fs::path(kind == Kind::kModelScope ? "modelscope" : "hf") / repository};
}

/// The path in the cache repeats the URL: scheme, host, path. A query becomes the name of a folder, by its
/// hash, since it may be long, and secret.
Result<ModelName> at_a_url(std::string_view text) {
  const auto url = http::Url::parse(text.substr(0, text.find('#')));
  if (!url) return fail(url.error());
  const std::size_t question = url->target.find('?');
  const std::string_view path =
      std::string_view(url->target).substr(1, question == std::string::npos ? question : question - 1);
  const fs::path where(path);
  if (!is_safe_path(path) || path.ends_with('/')) {
    return fail(ErrorCode::kInvalidArgument, fmt::format("\"{}\" names no file", without_secrets(text)));
  }
  fs::path folder = fs::path(url->tls ? "https" : "http") / url->authority();
  if (where.has_parent_path()) folder /= where.parent_path();
  if (question != std::string::npos)
    folder /= fmt::format("q-{:016x}", std::hash<std::string_view>{}(url->target));
  std::string file = where.filename().string();
  if (!file.ends_with(".gguf")) file += ".gguf";
  return ModelName{.kind = Kind::kUrl,
                   .text = std::string(text),
                   .repository = {},
                   .wanted = {},
                   .called = fs::path(file).stem().string(),
                   .folder = std::move(folder),
                   .file = std::move(file)};
}

Result<ModelName> in_the_catalogue(std::string_view text) {
  if (const CatalogueEntry* entry = find_entry(text)) {
    return ModelName{.kind = Kind::kCatalogue,
                     .text = std::string(text),
                     .repository = std::string(entry->repository),
                     .wanted = std::string(entry->wanted),
                     .called = std::string(text),
                     .folder = fs::path(text)};
  }
  std::vector<std::string> known;
  for (const CatalogueEntry& each : catalogue()) known.emplace_back(each.name);
  const auto near = nearest(text, known);
  return fail(
      Error{.code = ErrorCode::kNotFound,
            .message = fmt::format(
                "there is no file and no known model \"{}\"{}; give a path to a .gguf file, hf:ORG/REPO, "
                "modelscope:ORG/REPO, https://…, or one of: {}",
                text, near ? fmt::format(" (did you mean {}?)", *near) : "", fmt::join(known, ", ")),
            .reason = "model_not_found"});
}

}  // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.size() > 1024 || path.front() == '/') return false;
  const auto allowed = [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F && c != '\\'; };
  if (!std::ranges::all_of(path, allowed)) return false;
  return std::ranges::all_of(fs::path(path), [](const fs::path& part) {
    return part != ".." && part != "." && part.native().size() <= 200;
  });
}

Result<ModelName> ModelName::parse(std::string_view text, bool exists) {
  constexpr std::string_view kHf = "hf:";
  constexpr std::string_view kModelScopePrefix = "modelscope:";
  if (text.starts_with(kHf)) return in_a_hub(Kind::kHuggingFace, text, text.substr(kHf.size()));
  if (text.starts_with(kModelScopePrefix))
    return in_a_hub(Kind::kModelScope, text, text.substr(kModelScopePrefix.size()));
  if (text.starts_with("https://") || text.starts_with("http://")) return at_a_url(text);
  const std::size_t slash = text.find('/');
  const std::size_t colon = text.find(':');
  const bool like_a_path = text.starts_with('/') || text.starts_with('.') || text.starts_with('~') ||
                           (text.ends_with(".gguf") && colon == std::string_view::npos);
  if (!exists && !like_a_path) {
    if (slash == std::string_view::npos) return in_the_catalogue(text);
    if (is_repository(text.substr(0, colon))) return in_a_hub(Kind::kHuggingFace, text, text);
  }
  const fs::path path(text);
  return ModelName{.kind = Kind::kPath,
                   .text = std::string(text),
                   .repository = {},
                   .wanted = {},
                   .called = (path.has_filename() ? path : path.parent_path()).stem().string()};
}

}  // namespace autoglm::engine
