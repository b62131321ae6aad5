#include "gateway/front/http/openapi.h"

#include "base/json_string.h"
#include "gateway/protocol/json/edit.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace autoglm::gateway {

namespace {

/// "/v1/models/" takes a name behind it.
std::string path_of(const Route& route) {
  const bool below = route.path.size() > 1 && route.path.ends_with('/');
  return std::string(route.path) + (below ? "{name}" : "");
}

/// Each `{name}` in a path.
std::string parameters_of(std::string_view path) {
  std::string out;
  for (std::size_t open = path.find('{'); open != std::string_view::npos; open = path.find('{', open + 1)) {
    const std::size_t close = path.find('}', open);
    if (close == std::string_view::npos) break;
    out += fmt::format(R"({}{{"name":{},"in":"path","required":true,"schema":{{"type":"string"}}}})",
                       out.empty() ? "" : ",", json_string(path.substr(open + 1, close - open - 1)));
  }
  return out;
}

/// "post_v1_chat_completions".
std::string id_of(std::string_view method, std::string_view path) {
  std::string id(method);
  for (const char c : path) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (word) {
      id += c;
    } else if (!id.ends_with('_')) {
      id += '_';
    }
  }
  while (id.ends_with('_')) id.pop_back();
  return id;
}

/// The body in the example of a call, as a shell has it: -d '…'.
std::optional<std::string> body_of(std::string_view example) {
  constexpr std::string_view kData = "-d '";
  const std::size_t begin = example.find(kData);
  const std::size_t end = example.rfind('\'');
  if (begin == std::string_view::npos || end < begin + kData.size()) return std::nullopt;
  return protocol::compact_object(example.substr(begin + kData.size(), end - begin - kData.size()));
}

std::string operation(const Route& route, const std::string& path) {
  std::string method(route.method);
  std::ranges::transform(method, method.begin(), [](char c) { return static_cast<char>(c - 'A' + 'a'); });
  std::string out =
      fmt::format(R"("{}":{{"operationId":{},"summary":{})", method, json_string(id_of(method, path)),
                  json_string(route.summary.empty() ? std::string(route.method) + " " + path
                                                    : std::string(route.summary)));
  if (const std::string parameters = parameters_of(path); !parameters.empty())
    out += fmt::format(R"(,"parameters":[{}])", parameters);
  if (const auto body = body_of(route.example)) {
    out += fmt::format(
        R"(,"requestBody":{{"required":true,"content":{{"application/json":{{"schema":{{"type":"object"}},"example":{}}}}}}})",
        *body);
  }
  // An error of this path's own making, so that the document cannot say another shape than the server.
  const auto error = [&](ErrorCode code, std::string_view message) {
    return fmt::format(
        R"({{"description":"An error","content":{{"application/json":{{"schema":{{"type":"object"}},"example":{}}}}}}})",
        route.error_body(Error{.code = code, .message = std::string(message)}));
  };
  out += fmt::format(R"(,"responses":{{"200":{{"description":"The answer"}},"4XX":{},"5XX":{}}}}})",
                     error(ErrorCode::kInvalidArgument, "what is wrong, and what to do"),
                     error(ErrorCode::kUnavailable, "this server is shutting down; try again"));
  return out;
}

}  // namespace

std::string openapi_document(std::span<const Route> routes, std::string_view version) {
  std::vector<std::pair<std::string, std::string>> paths;
  for (const Route& route : routes) {
    if ((route.only_for && !route.listed) || route.method.empty()) continue;
    std::string path = path_of(route);
    std::string made = operation(route, path);
    const auto known = std::ranges::find(paths, path, &std::pair<std::string, std::string>::first);
    if (known == paths.end()) {
      paths.emplace_back(std::move(path), std::move(made));
    } else {
      known->second.append(",").append(made);
    }
  }
  std::ranges::sort(paths);
  std::string out = fmt::format(
      R"({{"openapi":"3.1.0",)"
      "\n"
      R"("info":{{"title":"Open-AutoGLM","version":{},"summary":"Language models over the APIs of OpenAI, Anthropic, Ollama, llama-server and KServe","license":{{"name":"Apache-2.0","identifier":"Apache-2.0"}}}},)"
      "\n"
      R"("servers":[{{"url":"/"}}],)"
      "\n"
      R"("security":[{{}},{{"key":[]}}],)"
      "\n"
      R"("components":{{"securitySchemes":{{"key":{{"type":"http","scheme":"bearer"}}}}}},)"
      "\n"
      R"("paths":{{)",
      json_string(version));
  for (const auto& [path, operations] : paths)
    out +=
        fmt::format("{}\n{}:{{{}}}", path == paths.front().first ? "" : ",", json_string(path), operations);
  return out + "\n}}\n";
}

Route openapi_route(std::span<const Route> routes, std::string_view version) {
  Route route{
      .method = "GET", .path = "/openapi.json", .example = "", .answer = nullptr, .summary = "This document"};
  std::vector<Route> all(routes.begin(), routes.end());
  all.push_back(route);
  route.answer = [document = openapi_document(all, version)](http::Request&, http::ResponseWriter& response,
                                                             RequestRecord& record) {
    return send_json(response, record, document);
  };
  return route;
}

}  // namespace autoglm::gateway
