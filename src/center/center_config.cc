#include "center/center_config.h"

namespace autoglm::center {

config::Descriptor<CenterConfig> describe_center() {
  using C = CenterConfig;
  return config::Descriptor<C>(
             "center",
             "A configuration center: a text there is laid over the file, key by key, and followed while the "
             "server runs. Belongs into the file; flags and the environment win over what the center says.")
      .section("file", &C::file, describe_file_document())
      .section("consul", &C::consul, describe_consul_document())
      .section("etcd", &C::etcd, describe_etcd_document())
      .section("nacos", &C::nacos, describe_nacos_document())
      .section("kubernetes", &C::kubernetes, describe_config_map())
      .field(
          "copy", &C::copy,
          {.doc = "A file for the last text that was in force: with it a restart does not need the center. "
                  "Unset: one in the cache folder, open-autoglm/center.",
           .example = "/var/lib/open-autoglm/center.yaml"})
      .field("patience", &C::patience,
             {.doc = "How long a start waits for the center before it takes the copy.", .max = 600})
      .one_of({"file", "consul", "etcd", "nacos", "kubernetes"},
              {.none = "names no center; add", .several = "names several centers; keep one of them"});
}

std::string asks(const CenterConfig& config) {
  if (config.file) return asks(*config.file);
  if (config.consul) return asks(*config.consul);
  if (config.etcd) return asks(*config.etcd);
  if (config.nacos) return asks(*config.nacos);
  return asks(*config.kubernetes);
}

}  // namespace autoglm::center
