#include "gateway/front/http/storing_codec.h"

#include "base/utf8.h"
#include "gateway/protocol/responses/input.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <unordered_map>
#include <utility>
#include <vector>

namespace autoglm::gateway {

namespace {

namespace responses = protocol::responses;

using Step = ConversationStep;

/// What a request has copied of stored responses, which may be much more than it sent itself.
struct Recalled {
  explicit Recalled(std::shared_ptr<http::BodyMemory> of) : memory(std::move(of)), share(memory.get()) {}

  Result<void> add(std::size_t more) {
    bytes += more;
    return share.cover(bytes) ? Result<void>() : fail(http::no_answer_memory());
  }

  std::shared_ptr<http::BodyMemory> memory;
  http::BodyMemory::Share share;
  std::size_t bytes = 0;
};

/// All messages of the conversation that ends with `last`.
Result<std::vector<ChatMessage>> messages_up_to(const std::shared_ptr<const Step>& last, Recalled& recalled) {
  std::vector<const Step*> steps;
  for (const Step* step = last.get(); step != nullptr; step = step->before.get()) {
    steps.push_back(step);
    for (const ChatMessage& message : step->messages)
      if (auto added = recalled.add(message_size(message)); !added) return fail(std::move(added).error());
  }
  std::vector<ChatMessage> messages;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step)
    messages.insert(messages.end(), (*step)->messages.begin(), (*step)->messages.end());
  return messages;
}

Error too_long() {
  return invalid_field(
      "previous_response_id",
      fmt::format("previous_response_id names a conversation of {} responses, as many as this "
                  "server goes on from: send it as input",
                  ResponseStore::kMostSteps),
      "conversation_too_long");
}

/// The id of the response that made the item `id`, as this server's items have it: msg_REQUEST_NUMBER.
std::string response_of(std::string_view id) {
  const std::size_t begin = std::min(id.find('_') + 1, id.size());
  const std::size_t end = std::max(id.rfind('_') + 1, begin + 1) - 1;
  return responses::response_id(id.substr(begin, end - begin));
}

Error no_such_item(std::string_view id) {
  return Error{
      .code = ErrorCode::kNotFound,
      .origin = Origin::kClient,
      .message = fmt::format("input refers to the item \"{}\", which is of no response that is stored "
                             "here for this key: send the item itself",
                             excerpt(id, 128)),
      .param = "input",
      .reason = "item_not_found"};
}

/// Puts the items in the place of messages that refer to them.
Result<void> resolve(ResponseStore& store, std::string_view tenant, std::vector<ChatMessage>& messages,
                     Recalled& recalled) {
  std::vector<ChatMessage> resolved;
  using Items = decltype(responses::output_items({}));
  std::unordered_map<std::string, Items> known;  // of each response, which is read once
  for (ChatMessage& message : messages) {
    if (message.role != responses::kReference) {
      responses::add_message(resolved, std::move(message));
      continue;
    }
    const auto [response, is_new] = known.try_emplace(response_of(message.content));
    Items& items = response->second;
    if (is_new) {
      if (const auto found = store.find(tenant, response->first, std::chrono::steady_clock::now())) {
        if (auto added = recalled.add(found->document.size()); !added) return added;
        items = responses::output_items(found->document);
      }
    }
    const auto item = std::ranges::find(items, message.content, [](const auto& each) { return each.first; });
    if (item == items.end()) return fail(no_such_item(message.content));
    if (auto added = recalled.add(message_size(item->second)); !added) return added;
    responses::add_message(resolved, item->second);
  }
  messages = std::move(resolved);
  return {};
}

/// What is known of a response before its answer.
struct Asked {
  std::string tenant;
  std::vector<std::string> items;
  std::shared_ptr<Step> step;
  std::shared_ptr<const CountedBytes> held;
};

/// What keeps the answer; empty: there is no room for it.
responses::OnFinished keeper(std::shared_ptr<ResponseStore> store, Asked facts) {
  facts.held = store->hold(*facts.step, facts.items);
  if (!facts.held) return {};
  return [store = std::move(store),
          asked = std::make_shared<Asked>(std::move(facts))](responses::FinishedResponse finished) {
    asked->held.reset();  // counted by the store from here on
    asked->step->messages.push_back(std::move(finished.message));
    store->put(asked->tenant, finished.id,
               {.document = std::move(finished.document), .items = std::move(asked->items), .step = nullptr},
               asked->step, std::chrono::steady_clock::now());
  };
}

}  // namespace

Result<protocol::DecodedCall> StoringCodec::decode(std::string_view body) const {
  auto request = responses::read_request(body);
  if (!request) return fail(std::move(request).error());
  const auto recalled = std::make_shared<Recalled>(memory_);
  if (request->references > 0) {
    if (auto resolved = resolve(*store_, tenant_, request->chat.messages, *recalled); !resolved)
      return fail(std::move(resolved).error());
  }
  const auto step = std::make_shared<Step>();
  if (!request->previous.empty()) {
    const auto found = store_->find(tenant_, request->previous, std::chrono::steady_clock::now());
    if (!found) return fail(no_such_response(request->previous, "previous_response_id"));
    if (found->step->number >= ResponseStore::kMostSteps) return fail(too_long());
    step->before = found->step;
    step->number = found->step->number + 1;
  }
  responses::OnFinished keep;
  if (request->stores) {
    step->messages = request->chat.messages;
    keep = keeper(
        store_,
        {.tenant = tenant_, .items = responses::input_items(body, id_), .step = step, .held = nullptr});
  }
  auto history = messages_up_to(step->before, *recalled);
  if (!history) return fail(std::move(history).error());
  responses::make_prompt(*request, std::move(*history));
  if (recalled->bytes > 0) {
    keep = [recalled, keep = std::move(keep)](responses::FinishedResponse finished) {
      if (keep) keep(std::move(finished));
    };
  }
  return responses::make_call(std::move(*request), std::move(keep));
}

bool StoringCodec::is_slow(std::string_view body) const {
  // An ASCII character of either word may be escaped.
  constexpr std::array<std::string_view, 3> kSigns = {"previous_response_id", responses::kReference, "\\u00"};
  return std::ranges::any_of(kSigns, [&](std::string_view sign) { return body.contains(sign); });
}

Error no_such_response(std::string_view id, std::string param) {
  return Error{
      .code = ErrorCode::kNotFound,
      .origin = Origin::kClient,
      .message = fmt::format("there is no response \"{}\" here: it was not stored, has expired or was "
                             "deleted, or another key made it",
                             excerpt(id, 128)),
      .param = std::move(param),
      .reason = "response_not_found"};
}

}  // namespace autoglm::gateway
