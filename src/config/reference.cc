#include "config/render.h"
#include "config/scalar.h"
#include "config/sources.h"

#include <fmt/format.h>

#include <algorithm>

namespace autoglm::config {

namespace {

/// Text for a cell of a table.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find_first_of("|\n", at)) != std::string::npos; at += 2) {
    text.replace(at, 1, text[at] == '|' ? "\\|" : "  ");
  }
  return text;
}

std::string code(const std::string& text) { return text.empty() ? "" : '`' + text + '`'; }

std::string default_of(const Field& field, const void* section) {
  if (field.options.required) return "required";
  if (!is_scalar(field.type) || field.type.kind == Kind::kOptional || field.options.secret) return "";
  const std::string text = print_scalar(field.type, field.type.fetch(field.locate_in(section)));
  return text.empty() ? "empty" : code(text);
}

std::string description_of(const Field& field, bool live) {
  std::string text = field.options.doc;
  const auto add = [&](const std::string& sentence) { text += (text.empty() ? "" : " ") + sentence; };
  if (!field.options.example.empty()) add("Example: " + code(field.options.example) + '.');
  if (live) add("*Live.*");
  if (field.options.secret) add("*Secret.*");
  return text;
}

/// The rows of `section`; nested sections follow their own row. `prefix` is the path within the table;
/// `variables` is the path for environment variables, empty below a list or a map, where there are none.
void add_rows(const Section& section, bool live, const void* value, const std::string& prefix,
              const std::string& variables, std::string& out) {
  for (const Field& field : section.fields) {
    const bool is_live = section.is_live(field, live);
    const std::string path = join_path(prefix, field.name);
    const std::string variable = variables.empty() ? "" : join_path(variables, field.name);
    const bool has_variable = is_scalar(field.type) && !variable.empty();
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", path, cell(name_type(field.type, field.options)),
                       cell(default_of(field, value)), has_variable ? code(environment_name(variable)) : "",
                       cell(description_of(field, is_live)));
    const Section* nested = section_of(field.type);
    if (nested == nullptr) continue;
    const bool direct = field.type.kind == Kind::kSection;
    const std::string inside = path + (field.type.kind == Kind::kList  ? "[]"
                                       : field.type.kind == Kind::kMap ? ".NAME"
                                                                       : "");
    add_rows(*nested, is_live, direct ? field.locate_in(value) : nested->defaults.get(), inside,
             direct ? variable : "", out);
  }
}

void add_table(const Section& section, bool live, const void* value, const std::string& variables,
               std::string& out) {
  out += "\n| Key | Type | Default | Environment | |\n|---|---|---|---|---|\n";
  add_rows(section, live, value, "", variables, out);
}

}  // namespace

std::string markdown_reference(const Section& root) {
  std::string out =
      "# Configuration\n\n"
      "<!-- Generated from the descriptors in the sources. -->\n\n";
  if (!root.doc.empty()) out += root.doc + "\n\n";
  out +=
      "Flags win over environment variables, these over the configuration center, that over the file, that "
      "over\n"
      "defaults. Any value in the file may contain `${env:NAME}`, `${env:NAME:-default}` or `${file:PATH}`; "
      "`$${` stands\n"
      "for `${`. Durations are written `30s`, `500ms`, `5m`, `1h` (a bare number is seconds), sizes `16MiB` "
      "or `1GB` (a bare number is bytes). Unknown keys "
      "are errors.\n"
      "*Live* keys can change without a restart; *secret* ones are never printed.\n";
  Section top;  // scalars at the top level
  for (const Field& field : root.fields) {
    const Section* nested = section_of(field.type);
    if (nested == nullptr) {
      top.fields.push_back(field);
      continue;
    }
    const bool direct = field.type.kind == Kind::kSection;
    const bool live = root.is_live(field, false);
    out += fmt::format("\n## `{}`\n\n{}", field.name, description_of(field, live));
    if (!direct)
      out += fmt::format("{}{}.", field.options.doc.empty() ? "" : " ",
                         field.type.kind == Kind::kList  ? "A list"
                         : field.type.kind == Kind::kMap ? "A mapping of names to sections"
                                                         : "Optional");
    out += '\n';
    add_table(*nested, live, direct ? field.locate_in(root.defaults.get()) : nested->defaults.get(),
              direct ? field.name : "", out);
  }
  if (!top.fields.empty()) {
    out += "\n## Top level\n\n| Key | Type | Default | Environment | |\n|---|---|---|---|---|\n";
    for (const Field& field : top.fields) {
      out += fmt::format("| `{}` | {} | {} | {} | {} |\n", field.name,
                         cell(name_type(field.type, field.options)),
                         cell(default_of(field, root.defaults.get())),
                         is_scalar(field.type) ? code(environment_name(field.name)) : "",
                         cell(description_of(field, root.is_live(field, false))));
    }
  }
  return out;
}

}  // namespace autoglm::config
