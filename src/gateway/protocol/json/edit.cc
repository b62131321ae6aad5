#include "gateway/protocol/json/edit.h"

#include "base/json_string.h"
#include "gateway/protocol/json/members.h"
#include "gateway/protocol/json/value.h"

#include <simdjson.h>

#include <vector>

namespace autoglm::protocol {

std::string edit_members(std::string_view object, std::span<const JsonEdit> edits) {
  std::string out;
  out.reserve(object.size() + 256);
  std::vector<bool> done(edits.size());
  std::size_t copied = 0;
  bool any = false;
  const std::size_t end = for_each_json_member(object, [&](const JsonMember& member) {
    any = true;
    for (std::size_t i = 0; i < edits.size(); ++i) {
      if (edits[i].key != member.name) continue;
      done[i] = true;
      if (copied > member.begin) continue;  // by an earlier edit of the same name
      out += object.substr(copied, member.begin - copied);
      out += edits[i].value;
      copied = member.end;
    }
  });
  out += object.substr(copied, end - copied);
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (done[i]) continue;
    if (any) out += ',';
    any = true;
    append_json_string(out, edits[i].key);
    out += ':';
    out += edits[i].value;
  }
  out += object.substr(end);
  return out;
}

std::string_view member_value(std::string_view object, std::string_view key) {
  std::string_view value;
  for_each_json_member(object, [&](const JsonMember& member) {
    if (member.name != key) return;
    const std::string_view found = member.value_in(object);
    if (found != "null") value = found;
  });
  return value;
}

std::optional<std::string> compact_object(std::string_view text) {
  if (!visit_json_object(text, [](std::string_view, const JsonValue&) { return Result<void>(); })) return {};
  std::string compact(text.size() + simdjson::SIMDJSON_PADDING, '\0');
  std::size_t size = 0;
  if (simdjson::minify(text.data(), text.size(), compact.data(), size) != simdjson::SUCCESS) return {};
  compact.resize(size);
  return compact;
}

}  // namespace autoglm::protocol
