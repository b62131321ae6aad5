#include "engine/models/repository_files.h"

#include "base/suggest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

namespace autoglm::engine {

namespace {

constexpr std::size_t kShownFiles = 20;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string_view file_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

/// Projectors and importance matrices are GGUF files too, but not models.
bool is_model(std::string_view path) {
  const std::string name = lower(file_name(path));
  return name.ends_with(".gguf") && name.find("mmproj") == std::string::npos &&
         name.find("imatrix") == std::string::npos;
}

/// Finds "Q4_K_M" as a word of "x-q4_k_m.gguf", of "x.Q4_K_M-00001-of-00002.gguf" or of a folder; not in
/// "Q4_K_M_L".
bool has_word(std::string_view path, std::string_view word) {
  const std::string text = lower(path);
  const std::string wanted = lower(word);
  const auto edge = [&](std::size_t at) {
    return at >= text.size() || text[at] == '-' || text[at] == '.' || text[at] == '/';
  };
  for (std::size_t at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + 1)) {
    if ((at == 0 || edge(at - 1) || text[at - 1] == '_') && edge(at + wanted.size())) return true;
  }
  return false;
}

Error not_found(std::string message) {
  return Error{.code = ErrorCode::kNotFound, .message = std::move(message), .reason = "model_not_found"};
}

/// Each model once: a single file by its path, a split model by its stem.
using Models = std::map<std::string, std::vector<ListedFile>>;

Models models_of(std::span<const ListedFile> files) {
  Models models;
  for (const ListedFile& file : files) {
    if (!is_model(file.path)) continue;
    const auto split = SplitName::parse(file.path);
    models[split ? split->of(1) : file.path].push_back(file);
  }
  for (auto& [name, parts] : models) std::ranges::sort(parts, {}, &ListedFile::path);
  return models;
}

std::string shown(const Models& models) {
  std::vector<std::string_view> names;
  for (const auto& [name, parts] : models) names.push_back(name);
  const std::size_t more = names.size() - std::min(names.size(), kShownFiles);
  names.resize(names.size() - more);
  return fmt::format("{}{}", fmt::join(names, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

const std::vector<ListedFile>* named(const Models& models, std::string_view wanted) {
  const auto split = SplitName::parse(wanted);
  const std::string name = split ? split->of(1) : std::string(wanted);
  if (const auto exact = models.find(name); exact != models.end()) return &exact->second;
  const auto same = [&](const auto& model) { return lower(file_name(model.first)) == lower(name); };
  const auto found = std::ranges::find_if(models, same);
  return found == models.end() ? nullptr : &found->second;
}

std::vector<const std::vector<ListedFile>*> quantized(const Models& models, std::string_view word) {
  std::vector<const std::vector<ListedFile>*> found;
  for (const auto& [name, parts] : models) {
    if (has_word(name, word)) found.push_back(&parts);
  }
  return found;
}

Result<std::vector<ListedFile>> whole(const std::vector<ListedFile>& files, std::string_view where) {
  const auto split = SplitName::parse(files.front().path);
  if (!split) return files;
  for (unsigned part = 1; part <= split->parts; ++part) {
    if (std::ranges::find(files, split->of(part), &ListedFile::path) == files.end())
      return fail(not_found(fmt::format("{} lacks {}, a part of the model", where, split->of(part))));
  }
  return files;
}

/// The default quantizations in order of preference: small enough to be usual, good enough to be useful.
constexpr std::array<std::string_view, 9> kUsual = {"Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "IQ4_XS",
                                                    "Q5_K_M", "Q6_K",   "Q8_0", "F16"};

}  // namespace

std::optional<SplitName> SplitName::parse(std::string_view path) {
  // "-00001-of-00002.gguf"
  constexpr std::size_t kLength = 20;
  if (path.size() <= kLength || !path.ends_with(".gguf")) return std::nullopt;
  const std::string_view end = path.substr(path.size() - kLength);
  if (end[0] != '-' || end.substr(6, 4) != "-of-") return std::nullopt;
  const auto number = [](std::string_view digits) -> unsigned {
    unsigned value = 0;
    const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && stop == digits.data() + digits.size() ? value : 0;
  };
  SplitName name{.stem = std::string(path.substr(0, path.size() - kLength)),
                 .part = number(end.substr(1, 5)),
                 .parts = number(end.substr(10, 5))};
  if (name.part == 0 || name.part > name.parts || name.parts > 1000) return std::nullopt;
  return name;
}

std::string SplitName::of(unsigned number) const {
  return fmt::format("{}-{:05}-of-{:05}.gguf", stem, number, parts);
}

Result<std::vector<ListedFile>> choose_files(std::span<const ListedFile> files, std::string_view wanted,
                                             std::string_view where) {
  const Models models = models_of(files);
  if (models.empty()) {
    return fail(not_found(fmt::format(
        "{} has no .gguf file; look for a repository of the same model that has GGUF in its name", where)));
  }
  if (wanted.ends_with(".gguf") || wanted.find('/') != std::string_view::npos) {
    if (const auto* found = named(models, wanted)) return whole(*found, where);
    std::vector<std::string> names;
    for (const auto& [name, parts] : models) names.push_back(name);
    const auto near = nearest(wanted, names);
    return fail(not_found(fmt::format("{} has no file {}{}; it has: {}", where, wanted,
                                      near ? fmt::format(" (did you mean {}?)", *near) : "", shown(models))));
  }
  if (wanted.empty() && models.size() == 1) return whole(models.begin()->second, where);
  for (const std::string_view word : wanted.empty() ? std::span<const std::string_view>(kUsual)
                                                    : std::span<const std::string_view>(&wanted, 1)) {
    const auto found = quantized(models, word);
    if (found.size() == 1) return whole(*found.front(), where);
    if (found.size() > 1) {
      return fail(not_found(fmt::format("{} has {} models of {}: name the file; it has: {}", where,
                                        found.size(), word, shown(models))));
    }
  }
  return fail(not_found(
      wanted.empty()
          ? fmt::format("{} has several models and none of the usual kind: name the file; it has: {}", where,
                        shown(models))
          : fmt::format("{} has no {}; it has: {}", where, wanted, shown(models))));
}

}  // namespace autoglm::engine
