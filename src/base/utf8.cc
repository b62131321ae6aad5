#include "base/utf8.h"

#include <algorithm>
#include <cstdint>

namespace autoglm {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Lead {
  std::size_t length = 0;  ///< 0: no character begins with this byte
  std::uint8_t second_min = 0x80;
  std::uint8_t second_max = 0xBF;
};

Lead lead_of(std::uint8_t byte) {
  if (byte < 0x80) return {.length = 1};
  if (byte >= 0xC2 && byte <= 0xDF) return {.length = 2};
  if (byte == 0xE0) return {.length = 3, .second_min = 0xA0};
  if (byte == 0xED) return {.length = 3, .second_max = 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {.length = 3};
  if (byte == 0xF0) return {.length = 4, .second_min = 0x90};
  if (byte >= 0xF1 && byte <= 0xF3) return {.length = 4};
  if (byte == 0xF4) return {.length = 4, .second_max = 0x8F};
  return {};
}

}  // namespace

Utf8Step utf8_step(std::string_view bytes) {
  const Lead lead = lead_of(static_cast<std::uint8_t>(bytes.front()));
  if (lead.length == 0) return {Utf8Step::Kind::kInvalid, 1};
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (i == bytes.size()) return {Utf8Step::Kind::kIncomplete, i};
    const auto byte = static_cast<std::uint8_t>(bytes[i]);
    const std::uint8_t min = i == 1 ? lead.second_min : 0x80;
    const std::uint8_t max = i == 1 ? lead.second_max : 0xBF;
    if (byte < min || byte > max) return {Utf8Step::Kind::kInvalid, i};
  }
  return {Utf8Step::Kind::kCharacter, lead.length};
}

void append_valid_utf8(std::string& out, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto beyond_ascii = std::ranges::find_if(bytes, [](char c) { return c < 0; });
    out.append(bytes.begin(), beyond_ascii);
    bytes.remove_prefix(static_cast<std::size_t>(beyond_ascii - bytes.begin()));
    if (bytes.empty()) return;
    const Utf8Step step = utf8_step(bytes);
    out += step.kind == Utf8Step::Kind::kCharacter ? bytes.substr(0, step.length) : kReplacement;
    bytes.remove_prefix(step.length);
  }
}

void append_printable(std::string& out, std::string_view bytes, std::string_view kept) {
  while (!bytes.empty()) {
    const Utf8Step step = utf8_step(bytes);
    const std::string_view character = bytes.substr(0, step.length);
    const auto first = static_cast<std::uint8_t>(character.front());
    if (step.kind != Utf8Step::Kind::kCharacter) {
      out += kReplacement;
    } else if (first < 0x20 || first == 0x7F) {
      out += kept.contains(character.front()) ? character.front() : ' ';
    } else if (first == 0xC2 && static_cast<std::uint8_t>(character[1]) < 0xA0) {
      out += ' ';  // C1: some terminals take U+009B for ESC [
    } else {
      out += character;
    }
    bytes.remove_prefix(step.length);
  }
}

std::string excerpt(std::string_view bytes, std::size_t most) {
  std::string out;
  std::size_t end = 0;
  while (end < bytes.size()) {
    const std::size_t next = end + utf8_step(bytes.substr(end)).length;
    if (next > most) break;
    end = next;
  }
  append_valid_utf8(out, bytes.substr(0, end));
  if (end < bytes.size()) out += "…";
  return out;
}

void take_complete_utf8(std::string& pending, std::string& out) {
  std::string_view rest = pending;
  while (!rest.empty()) {
    const Utf8Step step = utf8_step(rest);
    if (step.kind == Utf8Step::Kind::kIncomplete) break;
    out += step.kind == Utf8Step::Kind::kCharacter ? rest.substr(0, step.length) : kReplacement;
    rest.remove_prefix(step.length);
  }
  pending.erase(0, pending.size() - rest.size());
}

}  // namespace autoglm
