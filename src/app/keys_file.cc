#include "app/keys_file.h"

#include "config/reader.h"
#include "config/yaml.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <set>
#include <utility>

namespace autoglm::app {

namespace {

/// What the file is read into: a list at its top stands for `keys:`.
struct KeysDocument {
  std::vector<gateway::KeyConfig> keys;
};

std::vector<config::Violation> check_document(const KeysDocument& document) {
  std::vector<config::Violation> wrong;
  std::set<std::string> names;
  for (std::size_t i = 0; i < document.keys.size(); ++i) {
    const std::string& name = document.keys[i].name;
    if (!names.insert(name).second)
      wrong.push_back({"keys[" + std::to_string(i) + "].name", "another one is called \"" + name + "\""});
  }
  if (const auto layer = gateway::KeyLayer::make(document.keys); !layer)
    wrong.push_back({"keys", "two of them: `key` " + layer.error().message});
  return wrong;
}

config::Descriptor<KeysDocument> describe_document() {
  return config::Descriptor<KeysDocument>("keys_file", "Keys in a file of their own.")
      .section("keys", &KeysDocument::keys, gateway::describe_key())
      .check(check_document);
}

Error mistakes(const config::Diagnostics& problems) {
  std::string text = config::to_string(problems);
  while (text.ends_with('\n')) text.pop_back();
  return Error{.code = ErrorCode::kInvalidArgument, .message = std::move(text), .param = "keys_file"};
}

}  // namespace

Result<std::vector<gateway::KeyConfig>> read_keys(const std::string& name, const std::string& text,
                                                  const config::Environment& environment) {
  config::Diagnostics problems;
  config::Diagnostics warnings;
  auto tree = config::parse_yaml(name, text, problems);
  if (!tree) return fail(mistakes(problems));
  config::expand_environment(*tree, environment, problems);
  if (tree->kind == config::Node::Kind::kSequence) {
    config::Node whole{.kind = config::Node::Kind::kMapping, .location = tree->location};
    whole.members.push_back({.key = "keys", .location = tree->location, .value = std::move(*tree)});
    tree = std::move(whole);
  }
  KeysDocument document;
  config::read(*describe_document().description(), *tree, &document, problems, warnings);
  if (!problems.empty()) return fail(mistakes(problems));
  return std::move(document.keys);
}

Result<std::unique_ptr<KeysFile>> KeysFile::open(std::string path, config::Environment environment,
                                                 observe::MetricRegistry& metrics, observe::Logger& log) {
  // Watched first: a change while it is read shows later.
  std::unique_ptr<KeysFile> made(new KeysFile(std::move(path), std::move(environment), metrics, log));
  std::ifstream file(made->path_, std::ios::binary);
  if (!file) {
    return fail(Error{.code = ErrorCode::kInvalidArgument,
                      .message = "keys_file: " + made->path_ + " cannot be read: " + std::strerror(errno),
                      .param = "keys_file"});
  }
  if (auto taken = made->take(config::read_config_text(file), false); !taken)
    return fail(std::move(taken).error());
  return made;
}

Result<void> KeysFile::take(const std::string& text, bool may_be_cut) {
  if (may_be_cut) {
    config::Diagnostics problems;
    const auto tree = config::parse_yaml(path_, text, problems);
    if (const auto cut = tree ? config::find_cut(path_, text, *tree) : std::nullopt)
      return fail(mistakes({*cut}));
  }
  auto keys = read_keys(path_, text, environment_);
  if (!keys) return fail(std::move(keys).error());
  auto layer = gateway::KeyLayer::make(*keys);
  if (!layer) return fail(std::move(layer).error());
  keys_ = std::move(*keys);
  layer_ = std::move(*layer);
  return {};
}

bool KeysFile::refresh(MonotonicTime now) {
  const auto text = file_.changed(now);
  if (!text) return false;
  if (const auto taken = take(*text, true); !taken) {
    count("refused");
    log_.error("keys_file was refused; the keys of before stay in force", {{"error", taken.error().message}});
    return false;
  }
  count("ok");
  log_.info("keys_file was read again", {{"path", path_}, {"keys", keys_.size()}});
  return true;
}

void KeysFile::count(const char* outcome) {
  metrics_
      .counter("autoglm_keys_file_reloads_total", "How often `keys_file` was read again.",
               {{"outcome", outcome}})
      .add();
}

}  // namespace autoglm::app
