#include "config/type.h"

#include "base/assert.h"

#include <algorithm>
#include <utility>

namespace autoglm::config {

const Field* Section::field(const std::string& key) const {
  for (const Field& candidate : fields) {
    if (candidate.name == key) return &candidate;
  }
  return nullptr;
}

std::string enumerated(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += &name == &names.back() ? " or " : ", ";
    text += '`' + name + '`';
  }
  return text;
}

std::function<std::vector<Violation>(const void*)> one_of_check(const Section& section,
                                                                const std::vector<std::string>& names,
                                                                OneOfTexts texts) {
  std::vector<Field> fields;
  for (const std::string& name : names) {
    const Field* const field = section.field(name);
    AUTOGLM_ASSERT(field != nullptr && field->type.kind == Kind::kOptional, "no such optional key");
    fields.push_back(*field);
  }
  texts.none += ' ' + enumerated(names);
  return [fields = std::move(fields), texts = std::move(texts)](const void* value) -> std::vector<Violation> {
    const auto there = std::ranges::count_if(fields, [value](const Field& field) {
      bool any = false;
      field.type.visit(field.locate_in(value), [&any](const std::string&, const void*) { any = true; });
      return any;
    });
    if (there == 1) return {};
    return {{"", there == 0 ? texts.none : texts.several}};
  };
}

bool is_scalar(const Type& type) {
  switch (type.kind) {
    case Kind::kList:
    case Kind::kMap:
    case Kind::kSection:
      return false;
    case Kind::kOptional:
      return is_scalar(*type.element);
    default:
      return true;
  }
}

const Section* section_of(const Type& type) {
  const Type* inner = &type;
  while (inner->element) inner = inner->element.get();
  return inner->section.get();
}

}  // namespace autoglm::config
