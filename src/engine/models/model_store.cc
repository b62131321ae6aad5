#include "engine/models/model_store.h"

#include "engine/models/cache_lock.h"
#include "engine/models/catalogue.h"
#include "engine/models/partial_file.h"
#include "engine/models/repository_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

namespace autoglm::engine {

namespace {

namespace fs = std::filesystem;
using Item = ModelStore::Item;

/// The files below `folder`, by their paths in it; symbolic links to files are files.
std::vector<ListedFile> files_below(const fs::path& folder) {
  std::vector<ListedFile> files;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error); !error && entry != fs::end(entry);
       entry.increment(error)) {
    std::error_code gone;
    if (!entry->is_regular_file(gone)) continue;
    files.push_back(
        {.path = entry->path().lexically_relative(folder).string(), .bytes = entry->file_size(gone)});
  }
  return files;
}

/// The files of `name` and its neighbours: the folders below a URL's may belong to other URLs.
std::vector<ListedFile> files_of(const fs::path& folder, const ModelName& name) {
  std::vector<ListedFile> files = files_below(folder);
  if (name.kind == ModelName::Kind::kUrl)
    std::erase_if(files, [](const ListedFile& file) { return file.path.find('/') != std::string::npos; });
  return files;
}

bool is_finished(const ListedFile& file) { return file.path.ends_with(".gguf"); }

/// The model file that `path` is, or of which it is a partial file or a note; empty for other files.
std::string finished_name(std::string_view path) {
  if (path.ends_with(PartialFile::kNoteSuffix)) path.remove_suffix(PartialFile::kNoteSuffix.size());
  if (path.ends_with(PartialFile::kSuffix)) path.remove_suffix(PartialFile::kSuffix.size());
  return path.ends_with(".gguf") ? std::string(path) : std::string();
}

/// The files among `files` that `wanted` names, unfinished ones too.
std::vector<ListedFile> meant(const std::vector<ListedFile>& files, const ModelName& name) {
  const std::string& wanted = name.kind == ModelName::Kind::kUrl ? name.file : name.wanted;
  if (wanted.empty() || name.kind == ModelName::Kind::kCatalogue) return files;
  std::set<std::string> names;
  for (const ListedFile& file : files) {
    const std::string finished = finished_name(file.path);
    if (finished.empty()) continue;
    // Files are tested one by one, since `choose_files` rejects a split model with parts missing.
    const auto split = SplitName::parse(finished);
    const ListedFile whole{.path = split ? split->stem + ".gguf" : finished};
    const auto split_wanted = SplitName::parse(wanted);
    if (choose_files(std::span(&whole, 1), split_wanted ? split_wanted->stem + ".gguf" : wanted, ""))
      names.insert(finished);
  }
  std::vector<ListedFile> found;
  std::ranges::copy_if(files, std::back_inserter(found),
                       [&](const ListedFile& file) { return names.contains(finished_name(file.path)); });
  return found;
}

Result<std::optional<fs::path>> in_a_folder(const fs::path& folder) {
  std::vector<ListedFile> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".gguf") files.push_back({.path = entry.path().filename().string()});
  }
  const auto first = files.empty() ? std::nullopt : SplitName::parse(files.front().path);
  const auto of_one_model = [&](const ListedFile& file) {
    const auto split = SplitName::parse(file.path);
    return split && first && split->stem == first->stem;
  };
  if (files.size() == 1 || (!files.empty() && std::ranges::all_of(files, of_one_model))) {
    auto chosen = choose_files(files, files.front().path, folder.string());
    if (!chosen) return fail(chosen.error());
    return folder / chosen->front().path;
  }
  return fail(Error{.code = ErrorCode::kNotFound,
                    .message = fmt::format(
                        "{}: a model's folder holds exactly one .gguf file, this one holds {}; name the file",
                        folder.string(), files.size()),
                    .reason = "model_not_found"});
}

/// Summarizes a model's files, finished and unfinished.
Item describe(const fs::path& folder, const std::vector<ListedFile>& files) {
  Item item;
  std::uint64_t all = 0;
  bool partial = false;
  bool sizes_known = true;
  std::optional<SplitName> split;
  std::size_t finished = 0;
  for (const ListedFile& file : files) {
    if (is_finished(file)) {
      ++finished;
      split = SplitName::parse(file.path);
    } else if (!file.path.ends_with(PartialFile::kSuffix)) {
      continue;
    } else {
      partial = true;
      std::ifstream text((folder / file.path).string() + ".note");
      const auto note = PartialNote::parse(std::string(std::istreambuf_iterator<char>(text), {}));
      sizes_known = sizes_known && note.bytes.has_value();
      all += note.bytes.value_or(0);
      split = SplitName::parse(finished_name(file.path));
    }
    item.bytes += file.bytes.value_or(0);
    if (is_finished(file)) all += file.bytes.value_or(0);
  }
  const bool lacks_parts = split && finished < split->parts;
  item.state = partial || lacks_parts ? Item::State::kPartial
               : finished > 0         ? Item::State::kReady
                                      : Item::State::kAbsent;
  if (partial && sizes_known && all > 0 && (!split || split->parts == 1))
    item.percent = static_cast<unsigned>(100 * (static_cast<double>(item.bytes) / static_cast<double>(all)));
  if (item.state == Item::State::kPartial && CacheLock::is_held(folder)) item.state = Item::State::kPulling;
  return item;
}

/// "hf/ORG/REPO/x.gguf" becomes hf:ORG/REPO:x.gguf, "https/HOST/a/x.gguf" its URL.
std::string name_of(const fs::path& path) {
  std::vector<std::string> parts;
  for (const fs::path& part : path) parts.push_back(part.string());
  const auto rest = [&](std::size_t from) {
    fs::path joined;
    for (std::size_t i = from; i < parts.size(); ++i) joined /= parts[i];
    return joined.string();
  };
  if (parts.size() >= 4 && (parts[0] == "hf" || parts[0] == "modelscope"))
    return fmt::format("{}:{}/{}:{}", parts[0], parts[1], parts[2], rest(3));
  if (parts.size() >= 3 && (parts[0] == "https" || parts[0] == "http"))
    return fmt::format("{}://{}", parts[0], rest(1));
  return path.string();
}

}  // namespace

Result<ModelName> ModelStore::name(std::string_view text) {
  std::error_code error;
  // A hub's name with colons is not a path, even if a file has that name.
  return ModelName::parse(text, fs::exists(fs::path(text), error));
}

Result<std::optional<fs::path>> ModelStore::find(const ModelName& name) const {
  if (!name.is_fetched()) {
    std::error_code error;
    const fs::path path(name.text);
    if (fs::is_directory(path, error)) return in_a_folder(path);
    return std::optional(path);
  }
  const fs::path where = folder(name);
  std::vector<ListedFile> files = files_of(where, name);
  std::erase_if(files, [](const ListedFile& file) { return !is_finished(file); });
  const auto chosen =
      choose_files(files, name.kind == ModelName::Kind::kUrl ? name.file : name.wanted, where.string());
  if (!chosen) return std::optional<fs::path>();
  return std::optional(where / chosen->front().path);
}

std::vector<Item> ModelStore::items() const {
  std::vector<Item> items;
  std::set<std::string> of_catalogue;
  for (const CatalogueEntry& entry : catalogue()) {
    of_catalogue.emplace(entry.name);
    Item item = describe(root_ / entry.name, files_below(root_ / entry.name));
    item.name = entry.name;
    item.about = entry.about;
    items.push_back(std::move(item));
  }
  std::map<std::string, std::vector<ListedFile>> others;  // a model's files, by its first file
  for (const ListedFile& file : files_below(root_)) {
    const std::string finished = finished_name(file.path);
    if (finished.empty() || of_catalogue.contains(fs::path(finished).begin()->string())) continue;
    const auto split = SplitName::parse(finished);
    others[split ? split->of(1) : finished].push_back(file);
  }
  for (const auto& [first, files] : others) {
    const ModelName parsed = ModelName::parse(name_of(first), false).value_or(ModelName());
    const fs::path of_model = parsed.is_fetched() ? folder(parsed) : root_;
    std::vector<ListedFile> inside = files;
    for (ListedFile& file : inside) file.path = (root_ / file.path).lexically_relative(of_model).string();
    Item item = describe(of_model, inside);
    item.name = name_of(first);
    items.push_back(std::move(item));
  }
  return items;
}

Result<std::uint64_t> ModelStore::remove(const ModelName& name) const {
  if (!name.is_fetched()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{} is a file of yours, not one of the cache: remove it yourself", name.shown()));
  }
  const fs::path where = folder(name);
  const auto absent =
      fail(Error{.code = ErrorCode::kNotFound,
                 .message = fmt::format("{} is not in {}; `open-autoglm models` lists what is", name.shown(),
                                        root_.string()),
                 .reason = "model_not_found"});
  if (meant(files_of(where, name), name).empty()) return absent;
  auto lock = CacheLock::try_take(where);
  if (!lock) return fail(lock.error());
  if (!*lock) {
    return fail(ErrorCode::kUnavailable, fmt::format("{} is being pulled by {}; end that first", name.shown(),
                                                     CacheLock::holder(where)));
  }
  std::uint64_t bytes = 0;
  for (const ListedFile& file : meant(files_of(where, name), name)) {
    std::error_code error;
    if (!fs::remove(where / file.path, error) && error)
      return fail(ErrorCode::kUnavailable,
                  fmt::format("cannot remove {}: {}", (where / file.path).string(), error.message()));
    bytes += file.bytes.value_or(0);
  }
  // The lock's file goes last, then the folders that have become empty.
  if (const auto left = files_below(where);
      std::ranges::all_of(left, [](const ListedFile& file) { return file.path == CacheLock::kFile; })) {
    std::error_code ignored;
    fs::remove_all(where, ignored);
    for (fs::path parent = where.parent_path(); parent != root_ && fs::remove(parent, ignored);)
      parent = parent.parent_path();
  }
  return bytes;
}

}  // namespace autoglm::engine
