#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::cluster {

/// An object of Kubernetes as its API wrote it.
struct KubernetesObject {
  std::string name;
  std::string json;
};

/// A page of a list.
struct KubernetesList {
  std::vector<KubernetesObject> objects;
  std::string version;    ///< of the whole list: a watch begins behind it
  std::string continues;  ///< asks for the next page; empty: this is the last one
};

/// What went wrong, in Kubernetes' words.
struct KubernetesStatus {
  int code = 0;
  std::string message;
};

/// One event of a watch.
struct KubernetesEvent {
  enum class Kind : std::uint8_t { kPut, kRemoved, kBookmark, kError } kind = Kind::kPut;
  std::string name;         ///< of the object
  std::string version;      ///< a watch from here on misses nothing; empty for an error
  std::string_view object;  ///< its JSON, in the text that was read
  KubernetesStatus status;  ///< of an error
};

/// Reads answers of Kubernetes' API. Errors: kBadGateway.
Result<KubernetesList> read_kubernetes_list(std::string_view body);
/// `text` is one object, as JsonObjects finds it.
Result<KubernetesEvent> read_kubernetes_event(std::string_view text);
/// Nothing: it is no status.
std::optional<KubernetesStatus> read_kubernetes_status(std::string_view body);

}  // namespace autoglm::cluster
