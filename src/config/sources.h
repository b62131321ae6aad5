#pragma once

#include "config/source.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::config {

using Environment = std::map<std::string, std::string>;

/// A YAML document, in which `${env:NAME}` stands for a variable.
class YamlSource : public Source {
 public:
  /// `name` is the file's, for messages; `environment` has the variables of `${env:}`.
  YamlSource(std::string name, std::string text, Environment environment)
      : name_(std::move(name)), text_(std::move(text)), environment_(std::move(environment)) {}

  std::string name() const override { return name_; }
  bool read(const Section& root, Node& tree, Diagnostics& problems) const override;

  const std::string& text() const { return text_; }
  void set_text(std::string text) { text_ = std::move(text); }

 private:
  std::string name_;
  std::string text_;
  Environment environment_;
};

/// A variable that has a name of its own, and the key that it stands for.
struct Alias {
  std::string variable;  ///< "MAX_WORKERS"
  std::string path;      ///< "server.workers"
};

/// The environment: OPEN_AUTOGLM_* for every key that is reached without an index or a name, and aliases,
/// which win over those. An alias that is empty says nothing. It is passed in: nothing here calls getenv.
class EnvironmentSource final : public Source {
 public:
  explicit EnvironmentSource(Environment environment, std::vector<Alias> aliases = {})
      : environment_(std::move(environment)), aliases_(std::move(aliases)) {}

  std::string name() const override { return "the environment"; }
  bool read(const Section& root, Node& tree, Diagnostics& problems) const override;

 private:
  Environment environment_;
  std::vector<Alias> aliases_;
};

/// A file and the environment as texts, for a configuration that is read once.
struct TextSources {
  std::string file_name;  ///< for messages; empty: there is no file
  std::string file_text;
  Environment environment;

  Sources list() const;
};

/// The name of the variable that gives the scalar at `path`: OPEN_AUTOGLM_SERVER_LISTEN.
std::string environment_name(const std::string& path);

/// Replaces `${env:NAME}`, `${env:NAME:-default}` and `${file:PATH}`, the text of a file without the line
/// ends behind it, in every scalar; `$${` stands for `${`.
void expand_environment(Node& tree, const Environment& environment, Diagnostics& problems);

}  // namespace autoglm::config
