#include "cluster/discovery/discover_config.h"

#include "cluster/membership/endpoint_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace autoglm::cluster {

namespace {

constexpr std::array<std::string_view, 7> kMapped = {"backup",   "max_connections", "model", "path",
                                                     "protocol", "scheme",          "weight"};

}  // namespace

config::Descriptor<DiscoverConfig> describe_discover() {
  using C = DiscoverConfig;
  return config::Descriptor<C>("discover", "A registry that knows servers of the model, beside `endpoints`.")
      .section("file", &C::file, describe_file_registry())
      .section("dns", &C::dns, describe_dns())
      .section("consul", &C::consul, describe_consul())
      .section("etcd", &C::etcd, describe_etcd())
      .section("kubernetes", &C::kubernetes, describe_kubernetes())
      .section("nacos", &C::nacos, describe_nacos())
      .field("tags", &C::tags,
             {.doc = "Tags that a server must have there, all of them.", .example = "[prod, gpu]"})
      .field("filter", &C::filter,
             {.doc = "Metadata that a server must have. A `*` at the end stands for any rest; of a list with "
                     "commas one element must match.",
              .example = "{ models: smollm2, zone: \"eu-*\" }"})
      .field("map", &C::map,
             {.doc = "Which metadata says what of a server: backup, max_connections, model, path, protocol, "
                     "scheme or weight.",
              .example = "{ model: served_model, weight: capacity }"})
      .field("scheme", &C::scheme, {.doc = "`http` or `https`, where metadata says nothing."})
      .field("path", &C::path, {.doc = "Where the API is on each server.", .example = "/v1"})
      .section("endpoint", &C::endpoint, describe_endpoint_options())
      .field("max_shrink_percent", &C::max_shrink_percent,
             {.doc = "When more of the servers leave at once, the registry may be ill: they are held for "
                     "`hold`, and go when our own checks find them "
                     "unwell, too. 100: all is believed.",
              .max = 100})
      .field("hold", &C::hold, {.doc = "See `max_shrink_percent`.", .max = 86'400})
      .one_of({"file", "dns", "consul", "etcd", "nacos", "kubernetes"},
              {.none = "names no registry; add",
               .several = "names several registries; write an item of the list for each"})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.scheme != "http" && c.scheme != "https") wrong.push_back({"scheme", "must be http or https"});
        if (!c.path.starts_with('/') || !http::Url::parse("http://a:1" + c.path))
          wrong.push_back({"path", "must be a path that begins with /"});
        for (const auto& [key, name] : c.map)
          if (std::ranges::find(kMapped, key) == kMapped.end())
            wrong.push_back(
                {"map", fmt::format("cannot say `{}`; it can say {}", key, fmt::join(kMapped, ", "))});
        return wrong;
      });
}

std::string asks(const DiscoverConfig& config) {
  if (config.file) return asks(*config.file);
  if (config.dns) return asks(*config.dns);
  if (config.consul) return asks(*config.consul);
  if (config.etcd) return asks(*config.etcd);
  if (config.nacos) return asks(*config.nacos);
  return asks(*config.kubernetes);
}

}  // namespace autoglm::cluster
