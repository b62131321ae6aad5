#include "gateway/protocol/openai/request_body.h"

#include "base/json_string.h"
#include "gateway/protocol/json/edit.h"
#include "gateway/protocol/openai/continuation.h"
#include "gateway/protocol/openai/outline.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace autoglm::protocol::openai {

namespace {

using WireProtocol = WireBody::Protocol;

std::optional<std::string> passed_body(const InferenceRequest& request, const OpaqueRequest& passed,
                                       std::string_view name) {
  const WireBody& wire = request.wire;
  if (!wire.names_model) return std::nullopt;
  const std::string_view model = name.empty() ? request.model : name;  // the body may have an alias
  const auto type = std::ranges::find(passed.headers, "content-type",
                                      [](const auto& field) -> std::string_view { return field.first; });
  const std::string_view content_type = type == passed.headers.end() ? std::string_view() : type->second;
  if (const auto said = form_model(content_type, wire.bytes)) {
    std::string bytes = wire.bytes;
    return bytes.replace(static_cast<std::size_t>(said->data() - wire.bytes.data()), said->size(), model);
  }
  const std::vector<JsonEdit> edits = {{"model", json_string(model)}};
  return edit_members(wire.bytes, edits);
}

void ask_for_tokens(const InferenceRequest& request, const GenerateRequest& work,
                    std::vector<JsonEdit>& edits) {
  edits.push_back({"return_token_ids", "true"});
  if (work.sampling.seed)
    edits.push_back({"seed", std::to_string(static_cast<std::int64_t>(*work.sampling.seed))});
  if (work.resume.empty()) return;
  std::string lists;
  for (const auto& tokens : work.resume)
    lists += fmt::format("{}[{}]", lists.empty() ? "" : ",", fmt::join(tokens, ","));
  edits.push_back({"resume", fmt::format(R"({{"token_ids":[{}],"created":{}}})", lists, request.created)});
}

}  // namespace

std::string_view request_path(WireBody::Protocol protocol) {
  switch (protocol) {
    case WireProtocol::kChat:
      return "/chat/completions";
    case WireProtocol::kCompletions:
      return "/completions";
    case WireProtocol::kEmbeddings:
      return "/embeddings";
    case WireProtocol::kRerank:
      return "/rerank";
    case WireProtocol::kScore:
      return "/score";
    default:
      return "/generate";
  }
}

Result<std::optional<std::string>> changed_body(const InferenceRequest& request, const EndpointTerms& terms) {
  const WireBody& wire = request.wire;
  const OpaqueRequest* opaque = request.opaque();
  if (opaque != nullptr && wire.protocol == WireProtocol::kPassed)
    return passed_body(request, *opaque, terms.model);
  std::vector<JsonEdit> edits;
  if (!terms.model.empty()) {
    edits.push_back({"model", json_string(terms.model)});
  } else if (!wire.names_model &&
             (wire.protocol != WireProtocol::kGenerate || !member_value(wire.bytes, "model").empty())) {
    edits.push_back({"model", json_string(request.model)});
  }
  if (const GenerateRequest* work = request.generation()) {
    if (!work->resume_text.empty()) {
      auto more = continuation_edits(wire, *work);
      if (!more) return fail(std::move(more).error());
      std::ranges::move(*more, std::back_inserter(edits));
    }
    if (terms.ask_tokens && wire.stream && wire.protocol != WireProtocol::kGenerate)
      ask_for_tokens(request, *work, edits);
  }
  return edits.empty() ? std::nullopt : std::optional(edit_members(wire.bytes, edits));
}

}  // namespace autoglm::protocol::openai
