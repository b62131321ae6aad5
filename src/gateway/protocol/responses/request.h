#pragma once

#include "gateway/protocol/json/fields.h"
#include "inference/request.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::protocol::responses {

/// What a response repeats of its request, as JSON.
struct Echo {
  std::string instructions = "null";
  std::string max_output_tokens = "null";
  std::string metadata = "{}";
  std::string parallel_tool_calls = "true";
  std::string previous_response_id = "null";
  std::string reasoning = R"({"effort":null,"summary":null})";
  std::string store = "true";
  std::string temperature = "null";
  std::string text = R"({"format":{"type":"text"}})";
  std::string tool_choice = R"("auto")";
  std::string tools = "[]";
  std::string top_logprobs = "0";
  std::string top_p = "null";
  std::string truncation = R"("disabled")";
  std::string user = "null";
};

/// A body of POST /v1/responses, as far as it is understood without what was stored before.
struct ResponsesRequest {
  std::string model;
  GenerateRequest work;  ///< without its prompt, which `make_prompt` makes
  ChatPrompt chat;       ///< with the messages of `input` alone
  std::string instructions;
  std::string previous;  ///< the id of the response that this one goes on from; empty: none
  bool stream = false;
  bool stores = true;
  bool shows_logprobs = false;
  bool has_input = false;
  Echo echo;
  std::optional<std::uint32_t> top_logprobs;
  std::string effort;
  std::vector<std::string> chosen_tools;  ///< of `tool_choice`; empty: any
  bool calls_once = false;                ///< a function that is named is called once
  std::size_t references = 0;             ///< messages that stand for items of earlier responses
  std::uint32_t unknown_fields = 0;
};

/// Reads and settles a body. Errors as Codec::decode has them.
Result<ResponsesRequest> read_request(std::string_view body);

/// Makes the prompt: the instructions, `history` of the earlier responses, the input.
void make_prompt(ResponsesRequest& request, std::vector<ChatMessage> history);

/// Notes why this program's engine cannot do what is asked; the first reason is kept.
void refuse(ResponsesRequest& request, std::string field, std::string message);

/// An error that says what is missing, and an example.
Error missing(const std::string& field, const std::string& example = {});

}  // namespace autoglm::protocol::responses
