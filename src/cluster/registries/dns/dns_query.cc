#include "cluster/registries/dns/dns_query.h"

#include "cluster/registries/dns/dns_tcp.h"
#include "cluster/registries/host_port.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <string>
#include <tuple>
#include <utility>

namespace autoglm::cluster {

namespace {

constexpr std::size_t kMostBytes = 65536;
constexpr Duration kTcpPatience = std::chrono::seconds(2);

ns_type type_of(DnsType type) {
  switch (type) {
    case DnsType::kA:
      return ns_t_a;
    case DnsType::kAaaa:
      return ns_t_aaaa;
    case DnsType::kSrv:
      return ns_t_srv;
  }
  return ns_t_a;
}

/// glibc's state of one query: its functions without a state share one a thread.
class Resolver {
 public:
  Resolver() : usable_(::res_ninit(&state_) == 0) {}
  ~Resolver() {
    if (usable_) ::res_nclose(&state_);
  }
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  bool usable() const { return usable_; }
  bool use(const HostPort& server) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port);
    if (::inet_pton(AF_INET, server.host.c_str(), &address.sin_addr) != 1) return false;
    state_.nscount = 1;
    state_.nsaddr_list[0] = address;
    return true;
  }
  /// A second and two tries for each server, and no TCP: glibc waits for that without an end.
  void hurry() {
    state_.retrans = 1;
    state_.retry = 2;
    state_.options |= RES_IGNTC | RES_USE_EDNS0;
  }
  /// The addresses of the servers, as the system has them.
  std::vector<std::span<const std::byte>> servers() const {
    std::vector<std::span<const std::byte>> all;
    for (int i = 0; i < state_.nscount; ++i) {
      const auto& four = state_.nsaddr_list[i];
      if (four.sin_family != 0) {
        all.push_back(std::as_bytes(std::span(&four, 1)));
      } else if (state_._u._ext.nsaddrs[i] != nullptr) {
        all.push_back(std::as_bytes(std::span(state_._u._ext.nsaddrs[i], 1)));
      }
    }
    return all;
  }
  struct __res_state& state() { return state_; }

 private:
  struct __res_state state_{};
  bool usable_;
};

std::unexpected<Error> bad_answer(const DnsConfig& config) {
  return fail(ErrorCode::kBadGateway, fmt::format("the DNS's answer for {} cannot be read", config.name));
}

struct Service {
  std::uint16_t priority;
  Instance instance;
};

/// The record's address or service, behind what was found; false: it cannot be read.
bool read_record(const ns_msg& message, const ns_rr& record, const DnsConfig& config,
                 std::vector<Service>& found) {
  const unsigned char* const data = ns_rr_rdata(record);
  const std::size_t size = ns_rr_rdlen(record);
  if (config.type == DnsType::kSrv) {
    constexpr std::size_t kFixed = 6;  // priority, weight and port
    if (size < kFixed + 1) return false;
    const auto number = [data](std::size_t at) {
      return static_cast<std::uint16_t>(data[at] << 8U | data[at + 1]);
    };
    std::array<char, NS_MAXDNAME> target{};
    if (::ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), data + kFixed, target.data(),
                             target.size()) < 0)
      return false;
    const std::string host(target.data());
    if (host.empty() || host == ".") return true;  // "decidedly not available at this domain" (RFC 2782)
    found.push_back(
        {number(0), {.host = host, .port = number(4), .weight = std::max<std::uint32_t>(number(2), 1)}});
    return true;
  }
  const int family = config.type == DnsType::kA ? AF_INET : AF_INET6;
  if (size != (family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr))) return false;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (::inet_ntop(family, data, text.data(), text.size()) == nullptr) return false;
  found.push_back({0, {.host = text.data(), .port = config.port}});
  return true;
}

}  // namespace

Result<DnsAnswer> read_dns_answer(std::span<const unsigned char> message, const DnsConfig& config) {
  ns_msg read{};
  if (message.size() > kMostBytes ||
      ::ns_initparse(message.data(), static_cast<int>(message.size()), &read) != 0)
    return bad_answer(config);
  if (ns_msg_getflag(read, ns_f_rcode) != ns_r_noerror && ns_msg_getflag(read, ns_f_rcode) != ns_r_nxdomain)
    return fail(ErrorCode::kUnavailable, fmt::format("the DNS cannot answer for {}", config.name));
  DnsAnswer answer;
  std::vector<Service> found;
  for (int i = 0; i < ns_msg_count(read, ns_s_an); ++i) {
    ns_rr record{};
    if (::ns_parserr(&read, ns_s_an, i, &record) != 0) return bad_answer(config);
    answer.time_to_live = std::min<Duration>(answer.time_to_live, std::chrono::seconds(ns_rr_ttl(record)));
    if (ns_rr_type(record) != type_of(config.type)) continue;  // such as the alias that led here
    if (!read_record(read, record, config, found)) return bad_answer(config);
  }
  const auto best = std::ranges::min_element(found, {}, &Service::priority);
  for (Service& each : found)
    if (each.priority == best->priority) answer.instances.push_back(std::move(each.instance));
  // Servers rotate their records.
  std::ranges::sort(answer.instances, {},
                    [](const Instance& each) { return std::tie(each.host, each.port); });
  return answer;
}

namespace {

/// Whether the answer did not fit: what is there is a part, and must not be taken for the list.
bool is_cut(std::span<const unsigned char> message) {
  constexpr unsigned char kTruncated = 0x02;
  return message.size() > 2 && (message[2] & kTruncated) != 0;
}

/// The same question over TCP, one server after the other.
Result<DnsAnswer> ask_for_all(Resolver& resolver, const DnsConfig& config) {
  std::array<unsigned char, NS_PACKETSZ> query{};
  const int size = ::res_nmkquery(&resolver.state(), ns_o_query, config.name.c_str(), ns_c_in,
                                  type_of(config.type), nullptr, 0, nullptr, query.data(), query.size());
  if (size < 0) return bad_answer(config);
  Error error{.code = ErrorCode::kUnavailable, .message = "the DNS has no server"};
  for (const auto server : resolver.servers()) {
    const auto answer =
        ask_dns_by_tcp(server, std::span(query).first(static_cast<std::size_t>(size)), kTcpPatience);
    if (answer) return read_dns_answer(*answer, config);
    error = answer.error();
  }
  return fail(std::move(error));
}

}  // namespace

Result<DnsAnswer> ask_dns(const DnsConfig& config) {
  Resolver resolver;
  if (!resolver.usable()) return fail(ErrorCode::kUnavailable, "the system's resolver cannot be set up");
  resolver.hurry();
  if (!config.server.empty()) {
    const auto server = read_host_port(config.server);
    if (!server || !resolver.use(*server))
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} is no IPv4 address with its port", config.server));
  }
  std::vector<unsigned char> message(kMostBytes);
  const int size = ::res_nquery(&resolver.state(), config.name.c_str(), ns_c_in, type_of(config.type),
                                message.data(), static_cast<int>(message.size()));
  if (size >= 0) {
    message.resize(std::min(static_cast<std::size_t>(size), message.size()));
    return is_cut(message) ? ask_for_all(resolver, config) : read_dns_answer(message, config);
  }
  const int why = resolver.state().res_h_errno;
  if (why == HOST_NOT_FOUND || why == NO_DATA) return DnsAnswer();
  return fail(ErrorCode::kUnavailable,
              fmt::format("the DNS does not answer for {}: {}", config.name, ::hstrerror(why)));
}

config::Descriptor<DnsConfig> describe_dns() {
  using C = DnsConfig;
  return config::Descriptor<C>("dns", "A name in the DNS, such as that of a headless service in Kubernetes.")
      .field("name", &C::name,
             {.doc = "The whole name; no search list is tried.",
              .example = "llm.default.svc.cluster.local",
              .min = 1,
              .required = true})
      .field("type", &C::type, {.doc = "`A` and `AAAA` say addresses, `SRV` also ports and weights."})
      .field("port", &C::port, {.doc = "Where addresses listen. Not for `SRV`.", .example = "8000"})
      .field("interval", &C::interval,
             {.doc = "How often it is asked, at least; a shorter time to live counts.",
              .min = 0.05,
              .max = 86'400})
      .field("server", &C::server,
             {.doc = "The server that is asked, an IPv4 address with its port. Unset: those of the system.",
              .example = "127.0.0.1:8600"})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.type != DnsType::kSrv && c.port == 0)
          wrong.push_back({"port", "is missing: an address alone does not say where the server listens"});
        if (c.type == DnsType::kSrv && c.port != 0)
          wrong.push_back({"port", "is said by SRV records; leave it out"});
        const auto server = c.server.empty() ? std::nullopt : read_host_port(c.server);
        in_addr address{};
        if (!c.server.empty() && (!server || ::inet_pton(AF_INET, server->host.c_str(), &address) != 1))
          wrong.push_back({"server", "must be an IPv4 address with its port, such as 10.0.0.2:53"});
        return wrong;
      });
}

}  // namespace autoglm::cluster
