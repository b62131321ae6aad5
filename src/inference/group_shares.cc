#include "inference/group_shares.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <utility>

namespace autoglm {

namespace {

bool is_plain(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
         byte == '-' || byte == '_' || byte == '.';
}

/// Takes what stands before `end`, and that itself, off `text`.
std::string_view cut(std::string_view& text, char end) {
  const std::size_t at = text.find(end);
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return head;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string escaped_group(std::string_view name) {
  std::string out;
  for (const char byte : name) {
    if (is_plain(byte)) {
      out += byte;
    } else {
      out += fmt::format("%{:02x}", static_cast<unsigned char>(byte));
    }
  }
  return out;
}

std::string unescaped_group(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned char byte = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

void LiveGroupShares::set(Table groups) {
  const auto now = now_.get();
  if (now ? now->groups == groups : groups.empty()) return;
  publish(version() + 1, std::move(groups));
}

void LiveGroupShares::hear(std::string_view told) {
  const auto version = number<std::uint64_t>(cut(told, ';'));
  if (!version || *version <= this->version()) return;
  Table groups;
  while (!told.empty()) {
    std::string_view one = cut(told, ';');
    const std::string_view name = cut(one, '=');
    const auto share = number<double>(cut(one, '/'));
    const auto max = number<double>(cut(one, '/'));
    const auto weight = number<double>(one);
    if (!share || !max || !weight) return;
    groups.push_back({.name = unescaped_group(name), .share = *share, .max = *max, .weight = *weight});
  }
  publish(*version, std::move(groups));
}

void LiveGroupShares::publish(std::uint64_t version, Table groups) {
  std::string told = fmt::format("{};", version);
  for (const GroupShare& each : groups)
    told += fmt::format("{}={}/{}/{};", escaped_group(each.name), each.share, each.max, each.weight);
  now_.set(std::make_shared<const Snapshot>(
      Snapshot{.version = version, .groups = std::move(groups), .told = std::move(told)}));
  version_.store(version, std::memory_order_release);
}

}  // namespace autoglm
