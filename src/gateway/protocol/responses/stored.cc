#include "gateway/protocol/responses/stored.h"

#include "base/json_string.h"
#include "base/utf8.h"
#include "gateway/protocol/json/edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

namespace autoglm::protocol::responses {

namespace {

constexpr std::size_t kMostItems = 100;

struct Page {
  std::size_t limit = 20;
  bool newest_first = true;
  std::string_view after;  ///< an item's id; empty: from the beginning
};

Result<Page> page_of(std::string_view query) {
  Page page;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view name = pair.substr(0, equals);
    const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
    if (name == "after") page.after = value;
    if (name == "order") {
      if (value != "asc" && value != "desc")
        return fail(
            invalid_field("order", fmt::format("order must be asc or desc, got {}", excerpt(value, 64))));
      page.newest_first = value == "desc";
    }
    if (name != "limit") continue;
    const auto [last, error] = std::from_chars(value.data(), value.data() + value.size(), page.limit);
    if (error != std::errc() || last != value.data() + value.size() || page.limit < 1 ||
        page.limit > kMostItems) {
      return fail(invalid_field("limit", fmt::format("limit must be a whole number between 1 and {}, got {}",
                                                     kMostItems, excerpt(value, 64))));
    }
  }
  return page;
}

}  // namespace

Result<std::string> item_list(std::span<const std::string> items, std::string_view query) {
  const auto page = page_of(query);
  if (!page) return fail(page.error());
  std::vector<std::string_view> ordered(items.begin(), items.end());
  if (page->newest_first) std::ranges::reverse(ordered);
  std::size_t begin = 0;
  if (!page->after.empty()) {
    const std::string quoted = json_string(page->after);
    const auto at = std::ranges::find_if(
        ordered, [&](std::string_view item) { return member_value(item, "id") == quoted; });
    if (at == ordered.end()) {
      return fail(invalid_field(
          "after", fmt::format("after names no item of this response: {}", excerpt(page->after, 64))));
    }
    begin = static_cast<std::size_t>(at - ordered.begin()) + 1;
  }
  const std::size_t end = std::min(begin + page->limit, ordered.size());
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = begin; i < end; ++i) {
    if (i > begin) out += ',';
    out += ordered[i];
  }
  const auto id_of = [&](std::size_t index) {
    return begin == end ? std::string_view("null") : member_value(ordered[index], "id");
  };
  return out + fmt::format(R"(],"first_id":{},"last_id":{},"has_more":{}}})", id_of(begin), id_of(end - 1),
                           end < ordered.size());
}

std::string deleted_body(std::string_view id) {
  return fmt::format(R"({{"id":{},"object":"response","deleted":true}})", json_string(id));
}

}  // namespace autoglm::protocol::responses
