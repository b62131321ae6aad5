#include "config/change.h"

#include "base/assert.h"
#include "config/diagnostic.h"
#include "config/scalar.h"

#include <algorithm>
#include <map>

namespace autoglm::config {

namespace {

/// The elements of an optional, a list or a map of one configuration, by their names in a path. The elements
/// of the other configuration are found by the same names.
std::map<std::string, const void*> elements(const Type& type, const FieldOptions& options,
                                            const void* container) {
  std::map<std::string, const void*> found;
  std::size_t index = 0;
  type.visit(container, [&](const std::string& key, const void* element) {
    std::string name = key;
    if (type.kind == Kind::kList) {
      name = std::to_string(index++);
      if (!options.identity.empty()) {
        const Field* field = type.element->section->field(options.identity);
        AUTOGLM_ASSERT(field != nullptr, "a list's elements have no such key");
        name = print_scalar(field->type, field->type.fetch(field->locate_in(element)));
      }
    }
    found.emplace(std::move(name), element);
  });
  return found;
}

std::string path_within(const Type& type, const std::string& path, const std::string& name) {
  if (type.kind == Kind::kList) return path + '[' + name + ']';
  return type.kind == Kind::kMap ? join_path(path, name) : path;
}

void compare(const Type& type, const FieldOptions& options, bool live, const void* before, const void* after,
             const std::string& path, std::vector<Difference>& out) {
  if (type.kind == Kind::kSection) {
    for (const Field& field : type.section->fields) {
      compare(field.type, field.options, type.section->is_live(field, live), field.locate_in(before),
              field.locate_in(after), join_path(path, field.name), out);
    }
  } else if (type.element) {
    auto rest = elements(type, options, after);
    for (const auto& [name, element] : elements(type, options, before)) {
      const auto same = rest.extract(name);
      if (same.empty()) {
        out.push_back({path_within(type, path, name), live});
      } else {
        compare(*type.element, options, live, element, same.mapped(), path_within(type, path, name), out);
      }
    }
    for (const auto& [name, element] : rest) out.push_back({path_within(type, path, name), live});
  } else if (print_scalar(type, type.fetch(before)) != print_scalar(type, type.fetch(after))) {
    out.push_back({path, live});
  }
}

void keep(const Type& type, const FieldOptions& options, bool live, const void* running, void* after) {
  if (type.kind == Kind::kSection) {
    for (const Field& field : type.section->fields) {
      keep(field.type, field.options, type.section->is_live(field, live), field.locate_in(running),
           field.locate(after));
    }
    return;
  }
  if (!type.element) {
    if (!live) type.assign(after, running);
    return;
  }
  const auto old = elements(type, options, running);
  const auto fresh = elements(type, options, after);
  const auto same_name = [](const auto& a, const auto& b) { return a.first == b.first; };
  if (!live && !std::ranges::equal(old, fresh, same_name)) {
    type.assign(after, running);  // with everything in it
    return;
  }
  for (const auto& [name, element] : fresh) {
    const auto same = old.find(name);
    // `after` belongs to us and may be changed, and so may its elements.
    if (same != old.end()) keep(*type.element, options, live, same->second, const_cast<void*>(element));
  }
}

}  // namespace

std::vector<Difference> differences(const Section& root, const void* before, const void* after) {
  std::vector<Difference> out;
  for (const Field& field : root.fields) {
    compare(field.type, field.options, root.is_live(field, false), field.locate_in(before),
            field.locate_in(after), field.name, out);
  }
  std::ranges::sort(out);
  return out;
}

void keep_until_restart(const Section& root, const void* running, void* after) {
  for (const Field& field : root.fields)
    keep(field.type, field.options, root.is_live(field, false), field.locate_in(running),
         field.locate(after));
}

}  // namespace autoglm::config
