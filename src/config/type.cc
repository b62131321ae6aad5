#include "config/type.h"

namespace autoglm::config {

const Field* Section::field(const std::string& key) const {
  for (const Field& candidate : fields) {
    if (candidate.name == key) return &candidate;
  }
  return nullptr;
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
