#include "cluster/membership/endpoint_config.h"

#include "http/head_parser.h"
#include "http/message.h"
#include "runtime/tls.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

namespace autoglm::cluster {

namespace {

/// Why a request must not carry this header; empty: it may.
std::string why_no_header(std::string_view name, std::string_view value) {
  constexpr std::array<std::string_view, 9> kOurs = {"host",       "content-length", "transfer-encoding",
                                                     "connection", "keep-alive",     "te",
                                                     "trailer",    "upgrade",        "expect"};
  if (!http::valid_field_line(fmt::format("{}:{}", name, value))) {
    return fmt::format(
        "has {}, which is no header: a name of letters, digits and hyphens, and a value of one line",
        config::quoted(std::string(name)));
  }
  const auto is = [name](std::string_view other) { return http::equals_ignoring_case(name, other); };
  if (std::ranges::none_of(kOurs, is)) return {};
  return fmt::format("must not have {}, which the gateway writes itself", name);
}

/// All but where it is.
config::Descriptor<EndpointSpec> with_options(config::Descriptor<EndpointSpec> descriptor) {
  using C = EndpointSpec;
  return descriptor
      .field(
          "protocol", &C::protocol,
          {.doc = "What it speaks. `openai`: vLLM, SGLang, llama-server, most clouds, and other instances of "
                  "this program. Requests of clients that speak something else are translated. `grpc` is "
                  "not there yet."})
      .field("weight", &C::weight, {.doc = "Its share, beside the others'.", .min = 1, .max = 1'000'000})
      .field("backup", &C::backup, {.doc = "Asked only when no other can be."})
      .field("max_connections", &C::max_connections,
             {.doc = "Requests that it gets at a time. 0: unlimited.", .max = 1'000'000})
      .field("max_fails", &C::max_fails,
             {.doc = "Failures within `fail_timeout` that leave it out for as long; nginx's. 0: none do, "
                     "`ejection` and `breaker` alone decide.",
              .max = 1'000'000})
      .field("fail_timeout", &C::fail_timeout, {.doc = "See `max_fails`.", .min = 0.001, .max = 86'400})
      .field(
          "api_key", &C::api_key,
          {.doc = "Sent as `Authorization: Bearer`; as `x-api-key` to Anthropic's servers, as `api-key` to "
                  "Azure's.",
           .example = "${env:KEY}",
           .secret = true})
      .field("model", &C::model, {.doc = "Its own name for the model, where that differs."})
      .field("headers", &C::headers, {.doc = "Further headers of every request to it.", .secret = true})
      .section("tls", &C::tls, describe_endpoint_tls())
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.protocol == EndpointProtocol::kGrpc) {
          wrong.push_back(
              {"protocol",
               "is grpc, which is not yet there for endpoints: use the server's HTTP address, with "
               "`protocol: openai` for Open-AutoGLM, or `triton` and `kserve` for those servers"});
        }
        for (const auto& [name, value] : c.headers) {
          if (auto why = why_no_header(name, value); !why.empty())
            wrong.push_back({"headers", std::move(why)});
        }
        return wrong;
      });
}

}  // namespace

config::Descriptor<EndpointTls> describe_endpoint_tls() {
  using C = EndpointTls;
  return config::Descriptor<C>("tls", "How an https address is trusted, and how it trusts us.")
      .field("ca", &C::ca, {.doc = "A PEM file of the authorities to trust. Unset: the system's."})
      .field("certificate", &C::certificate,
             {.doc = "A PEM file with our certificate, for servers that want one; with `key`."})
      .field("key", &C::key, {.doc = "A PEM file with its private key."})
      .field("server_name", &C::server_name,
             {.doc = "Whose certificate is expected. Unset: the address's host."})
      .field("verify", &C::verify, {.doc = "False: believe any certificate. For tests only."})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.certificate.empty() != c.key.empty()) {
          wrong.push_back({c.key.empty() ? "certificate" : "key",
                           c.key.empty() ? "needs its `key`" : "needs its `certificate`"});
        }
        for (const auto& [key, file] :
             {std::pair("ca", &C::ca), {"certificate", &C::certificate}, {"key", &C::key}}) {
          const std::string& path = c.*file;
          if (!path.empty() && ::access(path.c_str(), R_OK) != 0)
            wrong.push_back({key, "cannot be read: " + path + ": " + std::strerror(errno)});
        }
        if (!wrong.empty()) return wrong;
        if (const auto ca = TlsClientContext::create({.ca_file = c.ca}); !c.ca.empty() && !ca)
          wrong.push_back({"ca", "is no file of certificates: " + ca.error().message});
        const auto own = TlsClientContext::create({.certificate_file = c.certificate, .key_file = c.key});
        if (!c.certificate.empty() && !own)
          wrong.push_back({"certificate", "and `key` do not go together: " + own.error().message});
        return wrong;
      });
}

config::Descriptor<EndpointSpec> describe_endpoint() {
  using C = EndpointSpec;
  return with_options(
             config::Descriptor<C>("endpoint", "A server that answers for the model, one of several.")
                 .field(
                     "url", &C::url,
                     {.doc = "Where its API is: OpenAI's with `/v1`, others by the server's address alone.",
                      .example = "http://10.0.0.11:8000/v1",
                      .min = 1,
                      .address = true,
                      .required = true}))
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (const auto url = api_url(c); !url) wrong.push_back({"url", url.error().message});
        return wrong;
      });
}

config::Descriptor<EndpointSpec> describe_endpoint_options() {
  return with_options(
      config::Descriptor<EndpointSpec>("endpoint", "What all servers that are found have in common."));
}

}  // namespace autoglm::cluster
