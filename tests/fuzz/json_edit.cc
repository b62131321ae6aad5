// A body that passes through with a few members changed: it must stay JSON, the rest must stay byte for byte,
// and the changed members must be found with their new values.
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/json/members.h"

#include "codec.h"

#include <array>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace autoglm;
  using fuzzing::expect;
  const std::string_view body = fuzzing::text_of(data, size);
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(simdjson::padded_string(body)).get_object().get(object) != simdjson::SUCCESS) return 0;
  std::vector<std::string> names;
  protocol::for_each_json_member(
      body, [&](const protocol::JsonMember& member) { names.emplace_back(member.name); });
  std::size_t next = 0;
  for (const auto member : object) {
    expect(next < names.size() && names[next] == member.key, "a name is what the parser reads");
    ++next;
  }
  expect(next == names.size(), "no member is made up");
  const std::array edits{protocol::JsonEdit{"model", R"("other")"}, protocol::JsonEdit{"seed", "7"}};
  const std::string edited = protocol::edit_members(body, edits);
  expect(fuzzing::is_json(edited), "an edited object is JSON");
  expect(protocol::member_value(edited, "model") == R"("other")", "what was set is found");
  expect(protocol::edit_members(edited, edits) == edited, "setting it once more changes nothing");
  return 0;
}
