#include "center/file/file_document.h"

#include "config/file_stamp.h"
#include "config/watched_file.h"
#include "runtime/event_loop.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

namespace autoglm::center {

namespace {

constexpr Duration kBetweenLooks = std::chrono::milliseconds(250);
// A file that appears is read when it has looked the same so often: it may still be written.
constexpr int kQuietLooks = 4;

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
  std::optional<config::WatchedFile> watched;  // nothing: there was no file at the last look
  std::string trouble;
  config::FileStamp found;
  int quiet_looks = kQuietLooks;  // what is there at the start is whole
  while (true) {
    std::error_code error;
    const bool is_file = std::filesystem::is_regular_file(path_, error);
    std::string why;
    if (!is_file) {
      why = error ? error.message() : "it is no regular file";
      watched.reset();  // when it comes back it is read anew
      quiet_looks = 0;
    } else if (watched) {
      if (auto text = watched->changed(std::chrono::steady_clock::now()))
        sink.push({.text = std::move(*text), .version = {}});
    } else {
      const config::FileStamp now = config::stamp_of(path_);
      quiet_looks = now == found || quiet_looks == kQuietLooks ? quiet_looks + 1 : 0;
      found = now;
      if (quiet_looks > kQuietLooks) {
        watched.emplace(path_);  // made before the file is read: a change in between is a change
        std::ifstream file(path_, std::ios::binary);
        sink.push({.text = config::read_config_text(file), .version = {}});
      }
    }
    if (!why.empty() && why != trouble)
      sink.fail({.code = ErrorCode::kUnavailable, .message = fmt::format("{}: {}", path_, why)});
    trouble = std::move(why);
    co_await sleep_for(kBetweenLooks);
  }
}

}  // namespace autoglm::center
