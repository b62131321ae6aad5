#include "cluster/registries/nacos/nacos_channel.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace autoglm::cluster {

namespace {

// How long HTTP is good enough before gRPC, which pushes, is tried again.
constexpr Duration kGrpcAgain = std::chrono::seconds(30);

}  // namespace

Result<std::unique_ptr<NacosChannel>> NacosChannel::create(const NacosAccess& access, std::string module,
                                                           http::Client& client, BlockingPool& names) {
  auto http = NacosHttp::create(access, client);
  if (!http) return fail(std::move(http).error());
  std::shared_ptr<const TlsClientContext> tls;
  if (std::ranges::any_of(access.urls(), [](const std::string& url) { return url.starts_with("https"); })) {
    auto made = TlsClientContext::create({.ca_file = access.tls.ca,
                                          .certificate_file = access.tls.certificate,
                                          .key_file = access.tls.key,
                                          .verify = access.tls.verify});
    if (!made) return fail(std::move(made).error());
    tls = std::move(*made);
  }
  return std::unique_ptr<NacosChannel>(
      new NacosChannel(access, std::move(module), std::move(*http), std::move(tls), names));
}

Task<Result<std::unique_ptr<NacosConnection>>> NacosChannel::connect_to_one() {
  auto token = co_await http_->token();
  if (!token) co_return fail(std::move(token).error());
  const auto url = http::Url::parse(http_->address());
  if (!url) co_return fail(url.error());
  NacosConnection::Options options{
      .target = {.host = url->host, .tls = url->tls ? tls_ : nullptr, .tls_name = access_.tls.server_name},
      .module = module_,
      .name_space = access_.name_space,
      .token = std::move(*token)};
  options.target.host.port = static_cast<std::uint16_t>(url->host.port + access_.grpc_port_offset);
  connected_to_ = http_->address();
  auto connection = co_await NacosConnection::open(names_, std::move(options));
  if (!connection) {
    if (connection.error().code == ErrorCode::kPermissionDenied) http_->forget_token();
    http_->give_up();
  }
  co_return connection;
}

Task<Result<std::unique_ptr<NacosConnection>>> NacosChannel::connect() {
  std::optional<Error> spoken;  // of a member that speaks gRPC
  for (std::size_t left_to_try = access_.urls().size();; --left_to_try) {
    auto connection = co_await connect_to_one();
    if (connection) co_return connection;
    if (connection.error().reason != kNoNacosGrpc) spoken = connection.error();
    if (left_to_try > 1) continue;
    if (spoken) co_return fail(std::move(*spoken));
    co_return connection;
  }
}

Task<Result<std::string>> NacosChannel::ask(NacosConnection& connection, NacosMessage question) {
  for (bool again = false;; again = true) {
    auto token = co_await http_->token();
    if (!token) co_return fail(std::move(token).error());
    connection.authorize(std::move(*token));
    auto answer = co_await connection.ask(question);
    left(connection);
    if (answer || answer.error().code != ErrorCode::kPermissionDenied || again || !http_->logs_in())
      co_return answer;
    http_->forget_token();
  }
}

Task<Result<NacosMessage>> NacosChannel::next(NacosConnection& connection) {
  auto pushed = co_await connection.next();
  left(connection);
  co_return pushed;
}

/// If it has ended: its member is asked last, unless it has lost its turn already.
void NacosChannel::left(const NacosConnection& connection) {
  if (connection.over() && http_->address() == connected_to_) http_->give_up();
}

NacosChannel::Way NacosChannel::way() const {
  if (access_.transport == NacosTransport::kHttp) return Way::kHttp;
  return access_.transport == NacosTransport::kAuto && !until_.passed(loop_time()) ? Way::kHttp : Way::kGrpc;
}

bool NacosChannel::falls_back(const Error& error) {
  if (access_.transport != NacosTransport::kAuto || error.reason != kNoNacosGrpc) return false;
  until_ = Deadline::after(kGrpcAgain);
  return true;
}

}  // namespace autoglm::cluster
