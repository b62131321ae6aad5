#pragma once

#include "base/result.h"
#include "inference/request.h"

#include <openautoglm/v1/inference.pb.h>

#include <optional>
#include <string>
#include <string_view>

namespace autoglm::protocol::grpc {

namespace v1 = ::openautoglm::v1;

/// Parts of messages of openautoglm.v1 as parts of requests. Errors: kInvalidArgument, with the field as the
/// messages name it. Ranges and limits are those of the REST API.

/// sampling, stop, format, report, n and cache_salt, which Generate and Chat have alike; takes the texts out
/// of `message`. `max_tokens`: for a request without a limit.
template <class Message>
Result<void> read_generation(Message& message, std::optional<std::uint32_t> max_tokens,
                             GenerateRequest& work);

Result<std::uint8_t> read_priority(std::uint32_t priority);

/// `path`: of the list, in errors.
Result<std::vector<ChatMessage>> read_messages(google::protobuf::RepeatedPtrField<v1::Message>& messages,
                                               std::string_view path);
Result<std::vector<Tool>> read_tools(google::protobuf::RepeatedPtrField<v1::Tool>& tools,
                                     std::string_view path);
/// JSON by name.
Result<std::map<std::string, std::string>> read_template_arguments(
    const google::protobuf::Map<std::string, std::string>& arguments);

Result<TokenPrompt> read_tokens(const google::protobuf::RepeatedField<std::int32_t>& ids,
                                std::string_view path);

extern template Result<void> read_generation(v1::GenerateRequest&, std::optional<std::uint32_t>,
                                             GenerateRequest&);
extern template Result<void> read_generation(v1::ChatRequest&, std::optional<std::uint32_t>,
                                             GenerateRequest&);

}  // namespace autoglm::protocol::grpc
