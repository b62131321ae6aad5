#pragma once

#include "base/result.h"
#include "engine/models/model_name.h"
#include "engine/models/repository_files.h"
#include "http/proxy.h"
#include "http/url.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::engine {

/// The hubs from which models are fetched, and the credentials for them.
struct HubSettings {
  http::Url hugging_face;
  http::Url model_scope;
  std::string hf_token;  ///< sent only to the origin of `hugging_face`
  http::ProxyRules proxies;

  /// From HF_ENDPOINT, HF_TOKEN, MODELSCOPE_ENDPOINT and the proxies' variables. Errors: kInvalidArgument,
  /// naming the variable.
  static Result<HubSettings> from(const std::map<std::string, std::string>& environment);
};

/// Requests to hubs and the meaning of their answers. Pure.
namespace hub {

/// The URL that lists the files of a hub's repository.
http::Url listing_url(const HubSettings& settings, const ModelName& name);
/// The URL of one of these files; for a kUrl, of the file named `path` beside it.
http::Url file_url(const HubSettings& settings, const ModelName& name, std::string_view path);

/// The files of a listing. Errors: kBadGateway, it is not a listing.
Result<std::vector<ListedFile>> read_listing(const ModelName& name, std::string_view body);
/// The URL of a listing's next page, from its Link header; empty: this was the last one.
std::string next_page(std::string_view link);

/// The error for an answer that is neither the file nor worth a retry: why the hub refuses, and what to do.
Error refusal(const ModelName& name, const http::Url& url, int status, bool with_token);

/// The URL as it may be shown: without its query, which may hold secrets.
std::string shown(const http::Url& url);

}  // namespace hub

}  // namespace autoglm::engine
