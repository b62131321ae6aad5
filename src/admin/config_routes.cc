#include "admin/config_routes.h"

#include "base/json_string.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace autoglm::admin {

namespace {

using gateway::RequestRecord;

template <class T, class Describe>
std::string array_of(const std::vector<T>& values, Describe describe) {
  std::string body = "[";
  for (const T& each : values) body += (body.size() > 1 ? "," : "") + describe(each);
  return body + "]";
}

std::string texts(const std::vector<std::string>& values) {
  return array_of(values, [](const std::string& each) { return json_string(each); });
}

std::string describe_source(const ConfigSource& source) {
  return fmt::format(R"({{"name":{},"state":"{}","version":{},"checksum":{},"error":{}}})",
                     json_string(source.name), source.state, json_string(source.version),
                     json_string(source.checksum), json_string(source.error));
}

std::string describe_change(const ConfigChange& change) {
  return fmt::format(
      R"({{"at":"{}","source":{},"version":{},"checksum":{},"outcome":"{}","keys":{},"error":{}}})",
      change.at, json_string(change.source), json_string(change.version), json_string(change.checksum),
      change.applied ? "applied" : "refused", texts(change.keys), json_string(change.error));
}

std::string describe_config(const ConfigView& view) {
  return fmt::format("{{\"sources\":{},\"restart_needed_for\":{},\"changes\":{}}}\n",
                     array_of(view.sources, describe_source), texts(view.need_restart),
                     array_of(view.changes, describe_change));
}

Task<void> answer(std::string_view type, std::string body, http::ResponseWriter& response,
                  RequestRecord& record) {
  record.status = 200;
  record.complete = true;
  co_await response.send(200, type, body);
}

}  // namespace

std::vector<gateway::Route> config_routes(std::function<ConfigView()> view) {
  return {{"GET", "/config", "",
           [view](http::Request&, http::ResponseWriter& response, RequestRecord& record) {
             return answer("application/json", describe_config(view()), response, record);
           }},
          {"GET", "/config.yaml", "",
           [view](http::Request&, http::ResponseWriter& response, RequestRecord& record) {
             return answer("application/yaml", view().text, response, record);
           }}};
}

}  // namespace autoglm::admin
