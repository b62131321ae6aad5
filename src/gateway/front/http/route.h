#pragma once

#include "gateway/front/http/request_record.h"
#include "gateway/protocol/openai/error.h"
#include "http/server.h"
#include "inference/events.h"

#include <functional>
#include <string>
#include <string_view>

namespace autoglm::gateway {

/// A path that can be called: the method, an example of the right call, and the function that answers.
struct Route {
  std::string_view method;   ///< empty: any
  std::string_view path;     ///< see PathPattern
  std::string_view example;  ///< of the body, for the answer to a wrong method
  std::function<Task<void>(http::Request&, http::ResponseWriter&, RequestRecord&)> answer;
  /// If set, the route exists only for requests that this accepts, and is not listed among the paths.
  std::function<bool(const http::Request&)> only_for = nullptr;
  bool listed = false;  ///< it is, all the same
  /// Words the errors that the front itself answers at the path and below it, as the path's protocol has
  /// them.
  std::string (*error_body)(const Error&) = protocol::openai::error_body;
  bool reads_pieces = false;  ///< it reads bodies while they arrive, where HTTP/2 carries them
  bool while_draining =
      false;  ///< it is asked while this process ends, too, and refuses what it does not take
  std::string_view summary = {};  ///< in a few words, for the OpenAPI document
  bool open = false;              ///< it answers clients that show no key
  bool says_refusals = false;     ///< a client that may not go on is its to refuse: RequestRecord::refusal
};

/// The route with what it does, in a few words.
inline Route described(std::string_view summary, Route route) {
  route.summary = summary;
  return route;
}

/// The route, which answers clients that show no key: probes, and what says no more than that a server is
/// here.
inline Route opened(Route route) {
  route.open = true;
  return route;
}

/// Sends `error` in OpenAI's form, with `Retry-After` where it applies, and notes it in `record`.
Task<void> send_error(http::ResponseWriter& response, const Error& error, CallRecord& record);
/// The same with a body that says it in another protocol's form.
// Not inlined: its frame would be a part of every answer's.
[[gnu::noinline]] Task<void> send_error(http::ResponseWriter& response, const Error& error,
                                        CallRecord& record, std::string body);

/// Sends a whole answer of JSON.
Task<void> send_json(http::ResponseWriter& response, CallRecord& record, std::string body);

/// Adds the answer's endpoint to its head, and the headers that this endpoint sent.
void say_origin(http::ResponseWriter& response, const StreamOrigin& origin, bool streamed);

}  // namespace autoglm::gateway
