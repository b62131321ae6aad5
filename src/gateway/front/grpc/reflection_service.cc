#include "gateway/front/grpc/served_files.h"
#include "gateway/front/grpc/services.h"

#include "base/utf8.h"

#include <fmt/format.h>
#include <grpc/reflection/v1/reflection.pb.h>

#include <memory>

namespace autoglm {

/// Of the build (proto/CMakeLists.txt).
std::string_view served_descriptors();

}  // namespace autoglm

namespace autoglm::gateway::grpc {

namespace {

namespace reflection = ::grpc::reflection::v1;
constexpr int kNotFound = 5;  // of gRPC
constexpr int kInvalidArgument = 3;
constexpr std::size_t kMostAsked = std::size_t{64} << 10U;  // an answer repeats the request, which is a name

void refuse(reflection::ServerReflectionResponse& response, int code, std::string message) {
  response.mutable_error_response()->set_error_code(code);
  response.mutable_error_response()->set_error_message(std::move(message));
}

Error asks_too_much() {
  return {.code = ErrorCode::kPayloadTooLarge,
          .origin = Origin::kClient,
          .message = fmt::format("a request of server reflection has at most {} bytes", kMostAsked),
          .reason = "message_too_large"};
}

void tell_file(reflection::ServerReflectionResponse& response, std::string_view file,
               std::string_view asked) {
  if (file.empty()) {
    refuse(response, kNotFound, fmt::format("this server describes no \"{}\"", excerpt(asked, 128)));
  } else {
    response.mutable_file_descriptor_response()->add_file_descriptor_proto(std::string(file));
  }
}

void answer(const ServedFiles& files, const reflection::ServerReflectionRequest& request,
            reflection::ServerReflectionResponse& response) {
  using Request = reflection::ServerReflectionRequest;
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      return tell_file(response, files.by_name(request.file_by_filename()), request.file_by_filename());
    case Request::kFileContainingSymbol:
      return tell_file(response, files.by_symbol(request.file_containing_symbol()),
                       request.file_containing_symbol());
    case Request::kFileContainingExtension:
      return refuse(response, kNotFound, "no message here has extensions");
    case Request::kAllExtensionNumbersOfType:
      if (files.by_symbol(request.all_extension_numbers_of_type()).empty())
        return tell_file(response, {}, request.all_extension_numbers_of_type());
      response.mutable_all_extension_numbers_response()->set_base_type_name(
          request.all_extension_numbers_of_type());
      return;
    case Request::kListServices:
      for (const std::string& name : files.services())
        response.mutable_list_services_response()->add_service()->set_name(name);
      return;
    case Request::MESSAGE_REQUEST_NOT_SET:
      return refuse(response, kInvalidArgument, "the request asks for nothing");
  }
}

Task<Result<void>> serve(Rpc& rpc, const ServedFiles& files, const Readiness& readiness) {
  while (true) {
    auto bytes = co_await next_of_stream(rpc, readiness);
    if (!bytes) co_return fail(std::move(bytes).error());
    if (!*bytes) co_return Result<void>();
    if ((*bytes)->size() > kMostAsked) co_return fail(asks_too_much());
    auto request = protocol::grpc::parse<reflection::ServerReflectionRequest>(**bytes);
    if (!request) co_return fail(std::move(request).error());
    reflection::ServerReflectionResponse response;
    answer(files, *request, response);
    response.set_valid_host(request->host());
    *response.mutable_original_request() = std::move(*request);
    if (auto written = co_await rpc.write(response); !written) co_return written;
  }
}

}  // namespace

std::vector<Method> reflection_methods(const ServiceParts& parts) {
  const auto files = std::make_shared<const ServedFiles>(served_descriptors());
  // The messages of both versions are the same on the wire.
  const auto serves = [files, &readiness = parts.readiness](Rpc& rpc) {
    return serve(rpc, *files, readiness);
  };
  return {{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", serves},
          {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", serves}};
}

}  // namespace autoglm::gateway::grpc
