// What registries answer: the DNS, Consul, a file of targets, etcd. The first byte chooses.
#include "cluster/discovery/instance_shape.h"
#include "cluster/registries/consul/consul_registration.h"
#include "cluster/registries/consul/consul_services.h"
#include "cluster/registries/dns/dns_query.h"
#include "cluster/registries/etcd/etcd_lease.h"
#include "cluster/registries/etcd/etcd_messages.h"
#include "cluster/registries/file/target_file.h"

#include "fuzzing.h"

#include <string>

namespace {

constexpr std::uint8_t kOfRegistrars = 0xf0;

/// Of what Consul and etcd say to those who register.
void registrars(std::string_view bytes) {
  using namespace autoglm;
  using namespace autoglm::cluster;
  using fuzzing::expect;
  if (const auto known = read_consul_service(bytes)) {
    expect(!known->id.empty(), "a service has an id");
    const std::string body = consul_register_body(*known, {});
    const auto again = read_consul_service(body);
    expect(again && again->id == known->id && again->port == known->port && again->host == known->host &&
               again->tags == known->tags,
           "what is written is what was meant");
  }
  const Registration self{.id = "a", .host = "h", .port = 1};
  if (const auto rival = read_consul_rival(bytes, self); rival && *rival)
    expect(**rival != "h:1", "nobody is his own rival");
  if (const auto lease = read_etcd_lease(bytes)) expect(lease->id != 0, "a lease has an id");
  if (const auto write = read_etcd_write(bytes))
    expect(!write->written || !write->holder, "who writes a key reads none");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  using namespace autoglm::cluster;
  using fuzzing::expect;
  if (size == 0) return 0;
  const std::string_view bytes = fuzzing::text_of(data + 1, size - 1);
  Result<std::vector<Instance>> instances = fail(Error{});
  if (data[0] >= kOfRegistrars) {
    registrars(bytes);
    return 0;
  }
  if (data[0] % 4 == 3) {
    const auto range = read_etcd_range(bytes);
    const auto events = read_etcd_events(bytes);
    instances = std::vector<Instance>();
    for (const auto& each : range ? range->values : events ? events->changes : std::vector<EtcdValue>())
      if (each.value)
        if (auto instance = read_etcd_instance(*each.value)) instances->push_back(std::move(*instance));
    if (auto instance = read_etcd_instance(bytes)) instances->push_back(std::move(*instance));
  } else if (data[0] % 4 == 0) {
    const DnsConfig config{.name = "llm.test", .type = static_cast<DnsType>(data[0] / 4 % 3), .port = 8000};
    auto answer = read_dns_answer({data + 1, size - 1}, config);
    if (answer) {
      expect(answer->time_to_live >= Duration::zero(), "nothing is true for less than no time");
      instances = std::move(answer->instances);
    }
  } else if (data[0] % 4 == 1) {
    instances = read_consul_services(bytes, data[0] / 4 % 2 == 0);
  } else {
    instances = read_target_file("members.yaml", std::string(bytes));
  }
  if (!instances) {
    expect(!instances.error().message.empty() || instances.error().code == ErrorCode::kInternal,
           "it says why");
    return 0;
  }
  const DiscoverConfig config{.map = {{"weight", "w"}, {"scheme", "s"}, {"path", "p"}, {"model", "m"}}};
  for (const Instance& each : *instances) {
    if (!counts(each, config)) continue;
    std::string why;
    const auto spec = endpoint_of(each, config, why);
    expect(spec.has_value() == why.empty(), "what is left out is told");
    if (!spec) continue;
    const auto url = api_url(*spec);
    expect(url.has_value() && url->host.port == each.port, "an endpoint is where its instance is");
    expect(spec->weight > 0, "each gets a share");
  }
  return 0;
}
