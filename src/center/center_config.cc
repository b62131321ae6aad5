#include "center/center_config.h"

#include <algorithm>
#include <array>

namespace autoglm::center {

config::Descriptor<CenterConfig> describe_center() {
  using C = CenterConfig;
  return config::Descriptor<C>(
             "center",
             "A configuration center: a text there is laid over the file, key by key, and followed while the "
             "server runs. Name exactly one: `file`, `consul`, `etcd` or `nacos`. Belongs into the file or "
             "the "
             "environment; flags and the environment win over what the center says.")
      .section("file", &C::file, describe_file_document())
      .section("consul", &C::consul, describe_consul_document())
      .section("etcd", &C::etcd, describe_etcd_document())
      .section("nacos", &C::nacos, describe_nacos_document())
      .field(
          "copy", &C::copy,
          {.doc = "A file for the last text that was in force: with it a restart does not need the center. "
                  "Unset: one in the cache folder, open-autoglm/center.",
           .example = "/var/lib/open-autoglm/center.yaml"})
      .field("patience", &C::patience,
             {.doc = "How long a start waits for the center before it takes the copy.", .max = 600})
      .check([](const C& c) {
        const std::array named = {c.file.has_value(), c.consul.has_value(), c.etcd.has_value(),
                                  c.nacos.has_value()};
        const auto centers = std::ranges::count(named, true);
        if (centers == 1) return std::vector<config::Violation>();
        return std::vector<config::Violation>{
            {"", centers == 0 ? "names no center; add `file`, `consul`, `etcd` or `nacos`"
                              : "names several centers; keep one of them"}};
      });
}

}  // namespace autoglm::center
