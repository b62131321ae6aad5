#include "center/file/file_document.h"

#include "config/watched_file.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace autoglm::center {

namespace {

constexpr Duration kBetweenLooks = std::chrono::milliseconds(250);

}  // namespace

config::Descriptor<FileDocumentConfig> describe_file_document() {
  using C = FileDocumentConfig;
  return config::Descriptor<C>("file", "A file beside the first one. It may be a link that is swapped.")
      .field("path", &C::path,
             {.doc = "The file.", .example = "/etc/open-autoglm/center.yaml", .min = 1, .required = true});
}

std::string asks(const FileDocumentConfig& config) {
  return "reads " + config.path + ", again with every change";
}

Task<void> FileDocument::run(DocumentSink& sink) {
  // Made before the file is read: a change in between is a change.
  config::WatchedFile watched(path_);
  const auto push = [&sink](std::string text) { sink.push({.text = std::move(text), .version = {}}); };
  bool read = false;
  while (true) {
    if (!read) {
      errno = 0;
      std::ifstream file(path_, std::ios::binary);
      if (file) {
        push(config::read_config_text(file));
        read = true;
      } else {
        sink.fail({.code = ErrorCode::kUnavailable,
                   .message = fmt::format("{}: cannot be read: {}", path_, std::strerror(errno))});
      }
    } else if (auto text = watched.changed(std::chrono::steady_clock::now())) {
      push(std::move(*text));
    }
    co_await sleep_for(kBetweenLooks);
  }
}

}  // namespace autoglm::center
