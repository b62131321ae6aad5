#include "gateway/model_directory.h"

#include "base/utf8.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace autoglm::gateway {

namespace {

Error not_allowed(const Caller& caller, std::string_view model) {
  return Error{.code = ErrorCode::kPermissionDenied,
               .origin = Origin::kClient,
               .message = fmt::format("the key \"{}\" may not use the model \"{}\"; it may use: {}",
                                      caller.key, model, fmt::join(caller.models, ", ")),
               .param = "model",
               .reason = "model_not_allowed"};
}

}  // namespace

const ModelDirectory::Entry* ModelDirectory::named(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.name == name) return &entry;
  }
  for (const Entry& entry : entries_) {
    if (std::ranges::find(entry.aliases, name) != entry.aliases.end()) return &entry;
  }
  return nullptr;
}

const ModelDirectory::Entry* ModelDirectory::find_any(std::string_view name) const {
  constexpr std::string_view kLatest = ":latest";
  if (name.empty() && !entries_.empty()) return &entries_.front();
  if (const Entry* entry = named(name)) return entry;
  // Ollama's clients name a model with and without this tag.
  return name.ends_with(kLatest) ? named(name.substr(0, name.size() - kLatest.size()))
                                 : named(std::string(name).append(kLatest));
}

Result<const ModelDirectory::Entry*> ModelDirectory::find(std::string_view name, const Caller* caller) const {
  if (const Entry* entry = find_any(name)) {
    if (caller == nullptr || caller->may_use(entry->name)) return entry;
    return fail(not_allowed(*caller, entry->name));
  }
  std::string known;
  for (const Entry& entry : entries_) {
    if (caller != nullptr && !caller->may_use(entry.name)) continue;
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
