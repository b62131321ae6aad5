#include "app/flag_source.h"

#include "app/server_config.h"
#include "config/values.h"

namespace autoglm::app {

namespace {

void put(config::Node& tree, const std::string& path, std::string text, const std::string& flag) {
  config::set(tree, path,
              {.kind = config::Node::Kind::kScalar,
               .text = std::move(text),
               .location = {config::ValueOrigin::kFlag, flag, 0, 0}});
}

/// An address that cannot be read stays as it is, to be reported where it was written.
void put_address(config::Node& tree, const std::string& path, const HostPort& without,
                 const std::optional<std::string>& host, const std::optional<int>& port,
                 const std::string& port_flag) {
  if (!host && !port) return;
  config::ListenAddress address{without.host, without.port};
  if (const config::Node* written = config::find(tree, path)) {
    const auto parsed = config::parse_listen_address(written->text);
    if (!parsed) return;
    address = *parsed;
  }
  if (host) address.host = *host;
  if (port) address.port = static_cast<std::uint16_t>(*port);
  put(tree, path, config::to_string(address), !port ? "--host" : host ? "--host, " + port_flag : port_flag);
}

}  // namespace

bool FlagSource::read(const config::Section& /*root*/, config::Node& tree,
                      config::Diagnostics& /*problems*/) const {
  const ServerConfig defaults;
  put_address(tree, "server.listen", defaults.listen, options_.host, options_.port, "--port");
  put_address(tree, "server.admin_listen", defaults.admin_listen, std::nullopt, options_.admin_port,
              "--admin-port");
  if (!options_.generation_defaults.empty())
    put(tree, "server.generation_defaults", options_.generation_defaults, "--generation-defaults");
  return true;
}

}  // namespace autoglm::app
