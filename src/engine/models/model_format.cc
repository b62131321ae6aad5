#include "engine/models/model_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <string>

namespace autoglm::engine {

namespace {

/// "GGUF" or `\x7fELF`: in readable form.
std::string shown(std::string_view bytes) {
  std::string out;
  for (const char c : bytes.substr(0, 8)) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte >= 0x20 && byte < 0x7F ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return out;
}

bool begins_like_a_page(std::string_view bytes) {
  const std::size_t first = bytes.find_first_not_of("\xEF\xBB\xBF \t\r\n");
  if (first == std::string_view::npos || bytes[first] != '<') return false;
  const std::string_view rest = bytes.substr(first + 1);
  return rest.starts_with('!') || rest.starts_with('?') ||
         (!rest.empty() && std::isalpha(static_cast<unsigned char>(rest.front())) != 0);
}

/// What the file is, and what to do; empty when it is not recognized.
std::string_view what_else(std::string_view bytes) {
  if (begins_like_a_page(bytes))
    return "is a web page, not a model: a login page, a proxy's, or the page about the file; ask for the "
           "file itself";
  if (bytes.starts_with("version https://git-lfs"))
    return "is a pointer of Git LFS, not the file it stands for; fetch it with `git lfs pull`";
  if (bytes.starts_with("{") || bytes.starts_with("["))
    return "is JSON, not a model: perhaps an error of the server's";
  if (bytes.starts_with("PK\x03\x04"))
    return "is a PyTorch or zip file; convert it to GGUF, or name a repository that has GGUF";
  if (bytes.size() > 9 && bytes[8] == '{' && bytes.substr(3, 5) == std::string_view("\0\0\0\0\0", 5))
    return "is a safetensors file; convert it to GGUF, or name a repository that has GGUF";
  if (bytes.starts_with("ggml") || bytes.starts_with("lmgg") || bytes.starts_with("tjgg") ||
      bytes.starts_with("fmgg"))
    return "is in GGML's old format; convert it to GGUF";
  return {};
}

}  // namespace

Result<void> check_format(std::string_view bytes, std::string_view from) {
  if (bytes.starts_with("GGUF")) return {};
  if (bytes.empty()) return fail(ErrorCode::kDataLoss, fmt::format("{} is empty; fetch it again", from));
  const std::string_view known = what_else(bytes);
  if (!known.empty()) return fail(ErrorCode::kDataLoss, fmt::format("{} {}", from, known));
  return fail(ErrorCode::kDataLoss,
              fmt::format("{} is not a GGUF model: it begins with \"{}\", not with \"GGUF\"; give a .gguf "
                          "file, or fetch it again if it should be one",
                          from, shown(bytes)));
}

}  // namespace autoglm::engine
