// What registries answer: the DNS, Consul, a file of targets, etcd, Kubernetes, Nacos. The first byte
// chooses.
#include "cluster/discovery/instance_shape.h"
#include "cluster/registries/consul/consul_registration.h"
#include "cluster/registries/consul/consul_services.h"
#include "cluster/registries/dns/dns_query.h"
#include "cluster/registries/etcd/etcd_lease.h"
#include "cluster/registries/etcd/etcd_messages.h"
#include "cluster/registries/file/target_file.h"
#include "cluster/registries/kubernetes/endpoint_slices.h"
#include "cluster/registries/kubernetes/json_objects.h"
#include "cluster/registries/kubernetes/kubernetes_messages.h"
#include "cluster/registries/nacos/nacos_connection.h"
#include "cluster/registries/nacos/nacos_messages.h"

#include "fuzzing.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace {

using namespace autoglm;
using namespace autoglm::cluster;
using fuzzing::expect;

/// The objects in `bytes`, which come in pieces.
std::vector<std::string> objects_in(std::string_view bytes, std::size_t piece) {
  JsonObjects objects;
  std::vector<std::string> found;
  for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
    objects.buffer().append(bytes.substr(0, piece));
    while (const auto object = objects.next()) found.emplace_back(*object);
    objects.forget_taken();
    expect(objects.pending() == objects.buffer().size(), "only what has not come whole is kept");
  }
  return found;
}

/// A list of slices, or a watch: its events one by one, as the registry takes them.
Result<std::vector<Instance>> read_kubernetes(std::string_view bytes, std::uint8_t choice) {
  const std::string_view port = choice % 3 == 0 ? "" : choice % 3 == 1 ? "http" : "8000";
  std::map<std::string, EndpointSlice> slices;
  const auto take = [&](const std::string& name, std::string_view json) {
    if (auto slice = read_endpoint_slice(json, port)) slices.insert_or_assign(name, std::move(*slice));
  };
  take("alone", bytes);
  if (const auto list = read_kubernetes_list(bytes))
    for (const KubernetesObject& each : list->objects) take(each.name, each.json);
  const auto events = objects_in(bytes, 1 + choice);
  expect(events == objects_in(bytes, 4096), "objects do not depend on pieces");
  for (const std::string& text : events) {
    const auto event = read_kubernetes_event(text);
    if (!event) continue;
    expect(text.find(event->object) != std::string::npos, "an object is a part of its event");
    if (event->kind == KubernetesEvent::Kind::kPut) take(event->name, event->object);
    if (event->kind == KubernetesEvent::Kind::kRemoved) slices.erase(event->name);
  }
  return merged_slices(slices, port);
}

constexpr std::uint8_t kOfRegistrars = 0xf0;

/// Of what Consul and etcd say to those who register.
void registrars(std::string_view bytes) {
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

namespace {

/// As it comes over HTTP, and in a message of gRPC.
Result<std::vector<Instance>> read_from_nacos(std::string_view bytes) {
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
  if (size == 0) return 0;
  const std::string_view bytes = fuzzing::text_of(data + 1, size - 1);
  Result<std::vector<Instance>> instances = fail(Error{});
  if (data[0] >= kOfRegistrars) {
    registrars(bytes);
    return 0;
  }
  if (data[0] >= 128) {
    instances = read_kubernetes(bytes, data[0] - 128);
  } else if (data[0] % 16 == 4) {  // was the DNS' A records, too
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
