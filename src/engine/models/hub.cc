#include "engine/models/hub.h"

#include "http/message.h"

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <cctype>
#include <utility>

namespace autoglm::engine {

namespace {

namespace json = boost::json;
using Kind = ModelName::Kind;

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~/").find(c) != std::string_view::npos)
      out += c;
    else
      out += fmt::format("%{:02X}", byte);
  }
  return out;
}

/// `base`, which may have a path, with `target` appended.
http::Url below(http::Url base, const std::string& target) {
  while (base.target.ends_with('/')) base.target.pop_back();
  base.target += target;
  return base;
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->as_string()) : std::string();
}

std::optional<std::uint64_t> number_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  boost::system::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  return error ? std::nullopt : std::optional(number);
}

/// A sha256 in hex; empty for any other value, which is not a digest.
std::string sha256_of(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const bool hex = text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
  return hex ? text : std::string();
}

ListedFile of_hugging_face(const json::object& entry) {
  ListedFile file{.path = text_of(entry, "path"), .bytes = number_of(entry, "size")};
  // An entry's own `oid` is git's name for a pointer; the file's digest is the `oid` below `lfs`.
  if (const json::value* lfs = entry.if_contains("lfs"); lfs != nullptr && lfs->is_object()) {
    file.sha256 = sha256_of(text_of(lfs->as_object(), "oid"));
    if (const auto bytes = number_of(lfs->as_object(), "size")) file.bytes = bytes;
  }
  return file;
}

ListedFile of_model_scope(const json::object& entry) {
  return {.path = text_of(entry, "Path"),
          .bytes = number_of(entry, "Size"),
          .sha256 = sha256_of(text_of(entry, "Sha256"))};
}

Result<http::Url> endpoint(const std::map<std::string, std::string>& environment, const char* name,
                           const char* otherwise) {
  const auto found = environment.find(name);
  std::string text = found == environment.end() || found->second.empty() ? otherwise : found->second;
  if (text.find("://") == std::string::npos) text.insert(0, "https://");
  auto url = http::Url::parse(text);
  if (!url) return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", name, url.error().message));
  return url;
}

}  // namespace

Result<HubSettings> HubSettings::from(const std::map<std::string, std::string>& environment) {
  // The lower-case names are older and take precedence, as in curl.
  const auto variable = [&](const char* small, const char* large) -> std::string {
    for (const char* name : {small, large}) {
      const auto found = environment.find(name);
      if (found != environment.end() && !found->second.empty()) return found->second;
    }
    return {};
  };
  auto hugging_face = endpoint(environment, "HF_ENDPOINT", "https://huggingface.co");
  if (!hugging_face) return fail(hugging_face.error());
  auto model_scope = endpoint(environment, "MODELSCOPE_ENDPOINT", "https://modelscope.cn");
  if (!model_scope) return fail(model_scope.error());
  auto proxies =
      http::ProxyRules::create(variable("http_proxy", "HTTP_PROXY"), variable("https_proxy", "HTTPS_PROXY"),
                               variable("all_proxy", "ALL_PROXY"), variable("no_proxy", "NO_PROXY"));
  if (!proxies)
    return fail(ErrorCode::kInvalidArgument, "HTTP_PROXY, HTTPS_PROXY: " + proxies.error().message);
  std::string token = variable("HF_TOKEN", "HF_TOKEN");
  const auto printable = [](unsigned char c) { return c > 0x20 && c < 0x7F; };
  while (!token.empty() && !printable(static_cast<unsigned char>(token.back()))) token.pop_back();
  if (!std::ranges::all_of(token, printable))
    return fail(ErrorCode::kInvalidArgument, "HF_TOKEN has characters that no token has");
  return HubSettings{.hugging_face = std::move(*hugging_face),
                     .model_scope = std::move(*model_scope),
                     .hf_token = std::move(token),
                     .proxies = std::move(*proxies)};
}

namespace hub {

http::Url listing_url(const HubSettings& settings, const ModelName& name) {
  if (name.kind == Kind::kModelScope) {
    return below(settings.model_scope,
                 fmt::format("/api/v1/models/{}/repo/files?Revision=master&Recursive=true", name.repository));
  }
  return below(settings.hugging_face,
               fmt::format("/api/models/{}/tree/main?recursive=true", name.repository));
}

http::Url file_url(const HubSettings& settings, const ModelName& name, std::string_view path) {
  switch (name.kind) {
    case Kind::kModelScope: {
      std::string encoded = percent_encoded(path);
      for (std::size_t at = 0; (at = encoded.find('/', at)) != std::string::npos;)
        encoded.replace(at, 1, "%2F");
      return below(settings.model_scope, fmt::format("/api/v1/models/{}/repo?Revision=master&FilePath={}",
                                                     name.repository, encoded));
    }
    case Kind::kUrl: {
      http::Url url = http::Url::parse(name.text.substr(0, name.text.find('#'))).value();
      if (path == name.file) return url;
      const std::size_t query = std::min(url.target.find('?'), url.target.size());
      const std::size_t begin = url.target.rfind('/', query) + 1;
      url.target.replace(begin, query - begin, percent_encoded(path));
      return url;
    }
    default:
      return below(settings.hugging_face,
                   fmt::format("/{}/resolve/main/{}", name.repository, percent_encoded(path)));
  }
}

Result<std::vector<ListedFile>> read_listing(const ModelName& name, std::string_view body) {
  const Error no_listing{
      .code = ErrorCode::kBadGateway,
      .origin = Origin::kEndpoint,
      .message = fmt::format("the list of files of {} is not what a hub answers; is the endpoint one?",
                             name.repository)};
  boost::system::error_code error;
  const json::value parsed = json::parse(json::string_view(body.data(), body.size()), error);
  if (error) return fail(no_listing);
  const bool model_scope = name.kind == Kind::kModelScope;
  boost::system::error_code missing;
  const json::value* list = model_scope ? parsed.find_pointer("/Data/Files", missing) : &parsed;
  if (list == nullptr || !list->is_array()) return fail(no_listing);
  std::vector<ListedFile> files;
  for (const json::value& entry : list->as_array()) {
    if (!entry.is_object()) return fail(no_listing);
    const json::object& object = entry.as_object();
    const std::string type = text_of(object, model_scope ? "Type" : "type");
    if (type == "directory" || type == "tree") continue;
    ListedFile file = model_scope ? of_model_scope(object) : of_hugging_face(object);
    if (is_safe_path(file.path)) files.push_back(std::move(file));
  }
  return files;
}

std::string next_page(std::string_view link) {
  const std::size_t next = link.find("rel=\"next\"");
  if (next == std::string_view::npos) return {};
  const std::size_t end = link.rfind('>', next);
  const std::size_t begin = end == std::string_view::npos ? end : link.rfind('<', end);
  if (begin == std::string_view::npos) return {};
  return std::string(link.substr(begin + 1, end - begin - 1));
}

std::string shown(const http::Url& url) {
  return (url.tls ? "https://" : "http://") + url.authority() + url.target.substr(0, url.target.find('?'));
}

Error refusal(const ModelName& name, const http::Url& url, int status, bool with_token) {
  const std::string what = name.kind == Kind::kUrl ? shown(url) : name.repository;
  const std::string page = fmt::format("{}/{}", url.origin(), name.repository);
  const auto said = [&](ErrorCode code, const std::string& advice) {
    return Error{.code = code,
                 .origin = Origin::kEndpoint,
                 .message = fmt::format("{} answers {} {} for {}: {}", url.origin(), status,
                                        http::reason_phrase(status), what, advice)};
  };
  const bool of_hub = name.kind == Kind::kHuggingFace || name.kind == Kind::kCatalogue;
  if (status == 401 || status == 403) {
    const ErrorCode code = status == 401 ? ErrorCode::kUnauthenticated : ErrorCode::kPermissionDenied;
    if (!of_hub) return said(code, "it must be public, or its address must carry what allows it");
    return said(code,
                with_token
                    ? fmt::format("the token in HF_TOKEN may not read it; accept the model's terms at {} "
                                  "as its owner, or check the name",
                                  page)
                    : fmt::format("it is gated or private, or does not exist; check the name, accept its "
                                  "terms at {}, and set HF_TOKEN to a token that may read it",
                                  page));
  }
  if (status == 404 || status == 410) {
    return said(ErrorCode::kNotFound,
                name.kind == Kind::kUrl
                    ? "there is no such file; check the address"
                    : "there is no such repository, or no such file in it; check the name");
  }
  return said(ErrorCode::kUnavailable, "try again later, or another endpoint");
}

}  // namespace hub

}  // namespace autoglm::engine
