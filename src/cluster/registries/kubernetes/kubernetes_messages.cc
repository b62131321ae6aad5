#include "cluster/registries/kubernetes/kubernetes_messages.h"

#include <simdjson.h>

#include <utility>

namespace autoglm::cluster {

namespace {

namespace dom = simdjson::dom;
namespace ondemand = simdjson::ondemand;

std::unexpected<Error> strange_object(std::string_view what) {
  return fail(Error{.code = ErrorCode::kBadGateway,
                    .origin = Origin::kEndpoint,
                    .message = "Kubernetes' answer cannot be read: " + std::string(what)});
}

std::string text_in(const dom::object& from, std::string_view key) {
  std::string_view text;
  return from[key].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::optional<KubernetesStatus> status_in(const dom::object& from) {
  std::int64_t code = 0;
  if (from["code"].get(code) != simdjson::SUCCESS) return std::nullopt;
  return KubernetesStatus{.code = static_cast<int>(code), .message = text_in(from, "message")};
}

/// Of an event's object; false: it has no such metadata.
bool read_metadata(ondemand::object& object, KubernetesEvent& event) {
  ondemand::object metadata;
  if (object.find_field_unordered("metadata").get_object().get(metadata) != simdjson::SUCCESS) return false;
  for (auto field : metadata) {
    std::string_view key;
    std::string_view text;
    if (field.unescaped_key().get(key) != simdjson::SUCCESS) return false;
    std::string* const wanted = key == "name"              ? &event.name
                                : key == "resourceVersion" ? &event.version
                                                           : nullptr;
    if (wanted == nullptr) continue;
    if (field.value().get_string().get(text) != simdjson::SUCCESS) return false;
    *wanted = text;
  }
  return true;
}

}  // namespace

Result<KubernetesList> read_kubernetes_list(std::string_view body) {
  dom::parser parser;
  dom::object list;
  dom::object metadata;
  if (parser.parse(body.data(), body.size()).get(list) != simdjson::SUCCESS)
    return strange_object("no JSON object");
  if (list["metadata"].get(metadata) != simdjson::SUCCESS) return strange_object("a list has no metadata");
  KubernetesList read{.objects = {},
                      .version = text_in(metadata, "resourceVersion"),
                      .continues = text_in(metadata, "continue")};
  if (read.version.empty()) return strange_object("a list has no resourceVersion");
  dom::element items;
  if (list["items"].get(items) != simdjson::SUCCESS) return strange_object("a list has no items");
  if (items.is_null()) return read;  // as Go writes a list without any
  dom::array array;
  if (items.get(array) != simdjson::SUCCESS) return strange_object("the items are no array");
  for (const dom::element each : array) {
    dom::object its;
    if (each["metadata"].get(its) != simdjson::SUCCESS) return strange_object("an object has no metadata");
    KubernetesObject object{.name = text_in(its, "name"), .json = simdjson::minify(each)};
    if (object.name.empty()) return strange_object("an object has no name");
    read.objects.push_back(std::move(object));
  }
  return read;
}

// Of most events only this much is read: the next one is about the same object.
Result<KubernetesEvent> read_kubernetes_event(std::string_view text) {
  const simdjson::padded_string padded(text);
  ondemand::parser parser;
  ondemand::document document;
  ondemand::object event;
  ondemand::object object;
  std::string_view type;
  std::string_view raw;
  if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
      document.get_object().get(event) != simdjson::SUCCESS)
    return strange_object("an event is no JSON object");
  if (event.find_field_unordered("type").get_string().get(type) != simdjson::SUCCESS)
    return strange_object("an event has no type");
  KubernetesEvent read;
  if (type == "BOOKMARK") {
    read.kind = KubernetesEvent::Kind::kBookmark;
  } else if (type == "DELETED") {
    read.kind = KubernetesEvent::Kind::kRemoved;
  } else if (type == "ERROR") {
    read.kind = KubernetesEvent::Kind::kError;
  } else if (type != "ADDED" && type != "MODIFIED") {
    return strange_object("an event of an unknown type");
  }
  if (event.find_field_unordered("object").get_object().get(object) != simdjson::SUCCESS)
    return strange_object("an event has no object");
  if (read.kind != KubernetesEvent::Kind::kError && !read_metadata(object, read))
    return strange_object("an event's object has no metadata");
  bool is_empty = false;
  if (object.reset().get(is_empty) != simdjson::SUCCESS || object.raw_json().get(raw) != simdjson::SUCCESS)
    return strange_object("an event's object has no end");
  read.object = text.substr(static_cast<std::size_t>(raw.data() - padded.data()), raw.size());
  if (read.kind == KubernetesEvent::Kind::kError) {
    read.status = read_kubernetes_status(read.object).value_or(KubernetesStatus{});
    return read;
  }
  if (read.version.empty()) return strange_object("an event has no resourceVersion");
  if (read.name.empty() && read.kind != KubernetesEvent::Kind::kBookmark)
    return strange_object("an event's object has no name");
  return read;
}

std::optional<KubernetesStatus> read_kubernetes_status(std::string_view body) {
  dom::parser parser;
  dom::object status;
  if (parser.parse(body.data(), body.size()).get(status) != simdjson::SUCCESS) return std::nullopt;
  return status_in(status);
}

}  // namespace autoglm::cluster
