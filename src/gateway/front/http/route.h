#pragma once

#include "gateway/front/http/request_record.h"
#include "http/server.h"
#include "inference/events.h"

#include <functional>
#include <string_view>

namespace autoglm::gateway {

/// A path that can be called: the method, an example of the right call, and the function that answers.
struct Route {
  std::string_view method;   ///< empty: any
  std::string_view path;     ///< a trailing slash takes everything below it
  std::string_view example;  ///< of the body, for the answer to a wrong method
  std::function<Task<void>(http::Request&, http::ResponseWriter&, RequestRecord&)> answer;
  /// If set, the route exists only for requests that this accepts, and is not listed among the paths.
  std::function<bool(const http::Request&)> only_for = nullptr;
};

/// Sends `error` in OpenAI's form, with `Retry-After` where it applies, and notes it in `record`.
// Not inlined: its frame would be a part of every answer's.
[[gnu::noinline]] Task<void> send_error(http::ResponseWriter& response, const Error& error,
                                        RequestRecord& record);

/// Adds the answer's endpoint to its head, and the headers that this endpoint sent.
void say_origin(http::ResponseWriter& response, const StreamOrigin& origin, bool streamed);

}  // namespace autoglm::gateway
