#include "observe/log/log_config.h"

#include "base/terminal.h"

#include <unistd.h>

namespace autoglm::observe {

Logger::Options LogConfig::options() const {
  const bool terminal = file.empty() && is_terminal(STDERR_FILENO);
  Logger::Options options;
  options.level = level;
  options.format = format.value_or(terminal ? LogFormat::kText : LogFormat::kJson);
  options.colours = file.empty() && shows_colours(STDERR_FILENO);
  options.file = file;
  options.service_name = service_name;
  return options;
}

std::vector<config::EnumName<LogLevel>> enum_names(LogLevel) {
  return {{"debug", LogLevel::kDebug},
          {"info", LogLevel::kInfo},
          {"warning", LogLevel::kWarning},
          {"error", LogLevel::kError}};
}

std::vector<config::EnumName<LogFormat>> enum_names(LogFormat) {
  return {{"json", LogFormat::kJson}, {"text", LogFormat::kText}};
}

config::Descriptor<LogConfig> describe_log() {
  using C = LogConfig;
  return config::Descriptor<C>("log", "What the server writes about itself and its requests.")
      .field("level", &C::level, {.doc = "The least important lines that are written."})
      .field("format", &C::format,
             {.doc = "One JSON object a line, or text for people. Unset: text on a terminal, else JSON.",
              .example = "json"})
      .field("file", &C::file,
             {.doc = "Where to write. Empty: standard error. SIGHUP opens it anew, for logrotate.",
              .example = "/var/log/open-autoglm.log"})
      .field("service_name", &C::service_name, {.doc = "`service_name` of every line.", .min = 1});
}

}  // namespace autoglm::observe
