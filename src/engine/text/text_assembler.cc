#include "engine/text/text_assembler.h"

#include "base/utf8.h"

#include <algorithm>

namespace autoglm::engine {

bool TextAssembler::add(std::string_view bytes, std::string& out) {
  partial_ += bytes;
  take_complete_utf8(partial_, held_);
  if (stop_->empty()) {
    out += held_;
    held_.clear();
    return false;
  }
  // The stop string that begins first counts.
  std::size_t found = std::string::npos;
  for (const std::string& stop : *stop_) {
    const std::size_t at = held_.find(stop);
    if (at < found) {
      found = at;
      found_ = &stop;
    }
  }
  if (found_ != nullptr) {
    out.append(held_, 0, found + (include_stop_ ? found_->size() : 0));
    held_.clear();
    partial_.clear();
    return true;
  }
  std::size_t hold = 0;
  for (const std::string& stop : *stop_) {
    for (std::size_t size = std::min(stop.size() - 1, held_.size()); size > hold; --size) {
      if (std::string_view(held_).ends_with(std::string_view(stop).substr(0, size))) {
        hold = size;
        break;
      }
    }
  }
  out.append(held_, 0, held_.size() - hold);
  held_.erase(0, held_.size() - hold);
  return false;
}

void TextAssembler::finish(std::string& out) {
  out += held_;
  append_valid_utf8(out, partial_);
  held_.clear();
  partial_.clear();
}

}  // namespace autoglm::engine
