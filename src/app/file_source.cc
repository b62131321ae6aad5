#include "app/file_source.h"

#include "config/yaml.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace autoglm::app {

std::expected<std::shared_ptr<FileSource>, std::string> FileSource::open(
    const std::string& path, const config::Environment& environment) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return std::unexpected(path + ": is a folder; name the file\n");
  std::shared_ptr<FileSource> source(new FileSource(path, environment));
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::unexpected(path + ": cannot be read: " + std::strerror(errno) + "\n");
  source->set_text(config::read_config_text(file));
  return source;
}

bool FileSource::read(const config::Section& root, config::Node& tree, config::Diagnostics& problems) const {
  if (may_be_cut_) {
    config::Diagnostics mistakes;  // which are found again below
    const auto document = config::parse_yaml(name(), text(), mistakes);
    if (auto cut = document ? config::find_cut(name(), text(), *document) : std::nullopt) {
      problems.push_back(std::move(*cut));
      return false;
    }
  }
  return YamlSource::read(root, tree, problems);
}

bool FileSource::changed(MonotonicTime now) {
  auto text = file_.changed(now);
  if (!text) return false;
  take(std::move(*text));
  return true;
}

Task<Result<void>> FileSource::look_again(Duration between, Duration patience) {
  auto text = co_await file_.take_when_whole(between, patience);
  if (!text) co_return fail(text.error());
  take(std::move(*text));
  co_return Result<void>();
}

void FileSource::take(std::string text) {
  set_text(std::move(text));
  may_be_cut_ = true;
}

}  // namespace autoglm::app
