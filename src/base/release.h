#pragma once

#include <string>

namespace autoglm {

/// Empties `text` and gives its memory back: assigning an empty string would keep it.
inline void release(std::string& text) { std::string().swap(text); }

}  // namespace autoglm
