#include "gateway/model_directory.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm::gateway {

const ModelDirectory::Entry* ModelDirectory::named(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.name == name) return &entry;
  }
  for (const Entry& entry : entries_) {
    if (std::ranges::find(entry.aliases, name) != entry.aliases.end()) return &entry;
  }
  return nullptr;
}

Result<const ModelDirectory::Entry*> ModelDirectory::find(std::string_view name) const {
  constexpr std::string_view kLatest = ":latest";
  if (name.empty() && !entries_.empty()) return &entries_.front();
  if (const Entry* entry = named(name)) return entry;
  // Ollama's clients name a model with and without this tag.
  if (const Entry* entry = name.ends_with(kLatest) ? named(name.substr(0, name.size() - kLatest.size()))
                                                   : named(std::string(name).append(kLatest)))
    return entry;
  std::string known;
  for (const Entry& entry : entries_) {
    known += (known.empty() ? "" : ", ") + entry.name;
    for (const std::string& alias : entry.aliases) known += ", " + alias;
  }
  std::string message;
  if (entries_.empty()) {
    message =
        "this server has no model: start it with MODEL_NAME=smollm2-135m-instruct, or name models in its "
        "configuration";
  } else {
    message = fmt::format("the model \"{}\" does not exist; this server has: {}", excerpt(name, 128), known);
  }
  return fail(Error{.code = ErrorCode::kNotFound,
                    .origin = Origin::kClient,
                    .message = std::move(message),
                    .param = "model",
                    .reason = "model_not_found"});
}

std::vector<ModelCard> ModelDirectory::cards() const {
  std::vector<ModelCard> cards;
  for (const Entry& entry : entries_) {
    cards.push_back(entry.endpoint->card());
    cards.back().name = entry.name;
    for (const std::string& alias : entry.aliases) {
      cards.push_back(cards.back());
      cards.back().root = entry.name;
      cards.back().name = alias;
    }
  }
  return cards;
}

}  // namespace autoglm::gateway
