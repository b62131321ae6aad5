#include "config/sources.h"
#include "config/values.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace autoglm::config {

namespace {

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

constexpr std::size_t kLargestSecret = std::size_t{64} << 10U;

/// The text of a file, such as a secret that is mounted, without the line ends behind it.
Parsed<std::string> text_of_file(const std::string& path) {
  errno = 0;
  std::error_code error;
  // A pipe would block.
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error))
    return std::unexpected("the file " + quoted(path) + " is no regular file");
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected("the file " + quoted(path) + " cannot be read: " + std::strerror(errno));
  std::string text(kLargestSecret + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > kLargestSecret)
    return std::unexpected("the file " + quoted(path) + " has more than 64 KiB");
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

/// What `${reference}` stands for. Values are never repeated in a message: they may be secrets.
Parsed<std::string> resolve(std::string_view reference, const Environment& environment) {
  constexpr std::string_view kScheme = "env:";
  constexpr std::string_view kFile = "file:";
  const std::string whole = quoted("${" + std::string(reference) + "}");
  if (reference.starts_with(kFile)) return text_of_file(std::string(reference.substr(kFile.size())));
  if (!reference.starts_with(kScheme)) {
    return std::unexpected("cannot expand " + whole +
                           "; write ${env:NAME} or ${file:PATH}, or $${ for the text ${");
  }
  reference.remove_prefix(kScheme.size());
  const std::size_t dash = reference.find(":-");
  const std::string name(reference.substr(0, dash));
  if (!is_variable_name(name))
    return std::unexpected("cannot expand " + whole + "; write ${env:NAME} or ${env:NAME:-default}");
  const auto found = environment.find(name);
  if (dash == std::string_view::npos) {
    if (found != environment.end()) return found->second;
    return std::unexpected("the environment variable " + name +
                           " is not set; set it, or write ${env:" + name + ":-default}");
  }
  // As in a shell, :- also replaces a variable that is set but empty.
  if (found != environment.end() && !found->second.empty()) return found->second;
  return std::string(reference.substr(dash + 2));
}

Parsed<std::string> expand(std::string_view text, const Environment& environment) {
  std::string out;
  while (!text.empty()) {
    if (text.starts_with("$${")) {
      out += "${";
      text.remove_prefix(3);
    } else if (text.starts_with("${")) {
      const std::size_t end = text.find('}');
      if (end == std::string_view::npos)
        return std::unexpected("${ without its }; write ${env:NAME} or ${file:PATH}, or $${ for the text ${");
      auto value = resolve(text.substr(2, end - 2), environment);
      if (!value) return value;
      out += *value;
      text.remove_prefix(end + 1);
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

void expand_node(Node& node, const std::string& path, const Environment& environment, Diagnostics& problems) {
  if (node.kind == Node::Kind::kScalar && node.text.find("${") != std::string::npos) {
    if (auto text = expand(node.text, environment)) {
      node.written = std::exchange(node.text, std::move(*text));
    } else {
      problems.push_back({node.location, path, text.error()});
    }
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    expand_node(node.items[i], path + '[' + std::to_string(i) + ']', environment, problems);
  }
  for (Node::Member& member : node.members)
    expand_node(member.value, join_path(path, member.key), environment, problems);
}

}  // namespace

void expand_environment(Node& tree, const Environment& environment, Diagnostics& problems) {
  expand_node(tree, "", environment, problems);
}

}  // namespace autoglm::config
