#include "app/live_config.h"

#include "app/model_set.h"

#include <utility>

namespace autoglm::app {

Result<AppConfig> LiveConfig::read() const {
  auto loaded = load_config(options_, environment_);
  if (!loaded) {
    std::string mistakes = std::move(loaded.error());
    while (mistakes.ends_with('\n')) mistakes.pop_back();
    return fail(ErrorCode::kInvalidArgument, std::move(mistakes));
  }
  if (auto resolved = resolve(loaded->config.models, cache_); !resolved) return fail(resolved.error());
  return std::move(loaded->config);
}

bool LiveConfig::changed_on_disk() {
  const FileStamp stamp = has_file() ? stamp_of(options_.config_file) : FileStamp();
  if (!stamp.exists()) return false;  // gone: nothing to read
  return std::exchange(stamp_, stamp) != stamp;
}

std::vector<std::string> keys_for_restart(const AppConfig& before, const AppConfig& after) {
  std::vector<std::string> keys;
  const auto compare = [&keys](const char* key, const auto& old, const auto& now) {
    if (old != now) keys.emplace_back(key);
  };
  const ServerConfig& was = before.server;
  const ServerConfig& is = after.server;
  compare("server.listen", was.listen, is.listen);
  compare("server.admin_listen", was.admin_listen, is.admin_listen);
  compare("server.workers", was.workers, is.workers);
  compare("server.max_body", was.max_body, is.max_body);
  compare("server.max_connections", was.max_connections, is.max_connections);
  compare("server.max_connections_per_client", was.max_connections_per_client, is.max_connections_per_client);
  compare("server.body_memory", was.body_memory, is.body_memory);
  compare("server.compress_above", was.compress_above, is.compress_above);
  compare("server.header_timeout", was.header_timeout, is.header_timeout);
  compare("server.body_timeout", was.body_timeout, is.body_timeout);
  compare("server.idle_timeout", was.idle_timeout, is.idle_timeout);
  compare("server.write_timeout", was.write_timeout, is.write_timeout);
  // Which certificates is another matter: whether there are any is what clients have been told.
  compare("server.tls", was.tls.has_value(), is.tls.has_value());
  compare("server.admin_tls", was.admin_tls.has_value(), is.admin_tls.has_value());
  compare("telemetry", before.telemetry, after.telemetry);
  return keys;
}

}  // namespace autoglm::app
