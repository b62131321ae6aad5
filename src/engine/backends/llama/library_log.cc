#include "engine/backends/llama/library_log.h"

#include <llama.h>
#include <log.h>

#include <algorithm>
#include <string_view>

namespace autoglm::engine {

namespace {

thread_local std::string* t_capture = nullptr;

void take_log(ggml_log_level level, const char* text, void* /*user*/) {
  // A broken file may make llama.cpp repeat messages endlessly.
  constexpr std::size_t kMost = 16 * 1024;
  if (t_capture != nullptr && t_capture->size() < kMost &&
      (level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN))
    *t_capture += text;
}

}  // namespace

LibraryLog::LibraryLog() { t_capture = &text_; }
LibraryLog::~LibraryLog() { t_capture = nullptr; }

void LibraryLog::listen() {
  llama_log_set(take_log, nullptr);
  // At each request llama-common writes its remarks about the template to stderr; it also throws its errors.
  [[maybe_unused]] static const bool kOnce = (common_log_set_verbosity_thold(-1), true);
}

std::string LibraryLog::reason() const {
  std::string out;
  std::string_view rest = text_;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t colon = line.find(": ");
    if (colon != std::string_view::npos) line.remove_prefix(colon + 2);
    if (line.empty() || out.find(line) != std::string::npos) continue;
    if (!out.empty()) out += "; ";
    out += line;
  }
  return out.empty() ? "llama.cpp gave no reason" : out;
}

}  // namespace autoglm::engine
