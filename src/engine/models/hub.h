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

/// Where models are fetched from, and who asks.
struct HubSettings {
  http::Url hugging_face;
  http::Url model_scope;
  std::string hf_token;  ///< for the origin of `hugging_face` alone
  http::ProxyRules proxies;

  /// From HF_ENDPOINT, HF_TOKEN, MODELSCOPE_ENDPOINT and the proxies' variables. Errors: kInvalidArgument
  /// that names the variable.
  static Result<HubSettings> from(const std::map<std::string, std::string>& environment);
};

/// Questions to hubs, and what their answers say. Pure.
namespace hub {

/// The address that lists the files of a hub's repository.
http::Url listing_url(const HubSettings& settings, const ModelName& name);
/// The address of one of them; of a kUrl, of the file beside it that is called so.
http::Url file_url(const HubSettings& settings, const ModelName& name, std::string_view path);

/// The files of a listing. Errors: kBadGateway for something else.
Result<std::vector<ListedFile>> read_listing(const ModelName& name, std::string_view body);
/// The address of the next page of a listing, from its Link header; empty: that was all.
std::string next_page(std::string_view link);

/// Why a hub refuses, and what to do: for an answer that is neither the file nor worth another try.
Error refusal(const ModelName& name, const http::Url& url, int status, bool with_token);

/// The address, as people may see it: without its query, where secrets are.
std::string shown(const http::Url& url);

}  // namespace hub

}  // namespace autoglm::engine
