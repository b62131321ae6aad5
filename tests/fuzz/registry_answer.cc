// What registries answer: the DNS, Consul, a file of targets, etcd, Nacos. The first byte chooses.
#include "cluster/discovery/instance_shape.h"
#include "cluster/registries/consul/consul_services.h"
#include "cluster/registries/dns/dns_query.h"
#include "cluster/registries/etcd/etcd_messages.h"
#include "cluster/registries/file/target_file.h"
#include "cluster/registries/nacos/nacos_connection.h"
#include "cluster/registries/nacos/nacos_messages.h"

#include "fuzzing.h"

#include <string>

namespace {

/// As it comes over HTTP, and in a message of gRPC.
autoglm::Result<std::vector<autoglm::cluster::Instance>> read_from_nacos(std::string_view bytes) {
  using namespace autoglm;
  using namespace autoglm::cluster;
  using fuzzing::expect;
  std::string body(bytes);
  if (const auto message = read_nacos_payload(bytes)) {
    body = message->body;
    const auto again = read_nacos_payload(write_nacos_payload(*message, "t"));
    expect(again && again->type == message->type && again->body == message->body, "a message is read back");
    if (const auto answer = answer_to_nacos(*message))
      expect(answer->type.ends_with("Response") && read_nacos_outcome(answer->body).has_value(),
             "it is answered");
  }
  const auto outcome = read_nacos_outcome(body);
  const auto text = read_nacos_text(body);
  expect(outcome || !text, "a refusal has no text");
  if (const auto login = read_nacos_login(body))
    expect(!login->token.empty() && login->valid_for > Duration::zero(), "a token is good for some time");
  expect(read_nacos_beat(body) > Duration::zero(), "there is a pause between beats");
  read_nacos_changed(body);
  auto service = read_nacos_service(body);
  if (!service) return fail(service.error());
  expect(service->fresh_for > Duration::zero() && service->fresh_for <= std::chrono::minutes(1),
         "it is asked again");
  return std::move(service->instances);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  using namespace autoglm::cluster;
  using fuzzing::expect;
  if (size == 0) return 0;
  const std::string_view bytes = fuzzing::text_of(data + 1, size - 1);
  Result<std::vector<Instance>> instances = fail(Error{});
  if (data[0] % 16 == 4) {  // was the DNS' A records, too
    instances = read_from_nacos(bytes);
  } else if (data[0] % 4 == 3) {
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
