#include "app/keys/keys_command.h"

#include "app/keys/key_agent.h"
#include "app/keys/key_text.h"
#include "config/values.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace autoglm::app {

namespace {

// The server's own variables: where both have one environment, nothing more has to be said.
constexpr const char* kTokenVariable = "OPEN_AUTOGLM_SERVER_ADMIN_TOKEN";
constexpr const char* kAddressVariable = "OPEN_AUTOGLM_SERVER_ADMIN_LISTEN";

using Variables = std::map<std::string, std::string>;

std::string variable_of(const Variables& environment, const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string() : found->second;
}

/// The address that a listener on `address` answers at.
std::string url_of(const std::string& address) {
  const auto parsed = config::parse_listen_address(address);
  if (!parsed) return address;
  const bool everywhere = parsed->host.empty() || parsed->host == "0.0.0.0" || parsed->host == "::";
  const std::string host = everywhere ? "127.0.0.1" : parsed->host;
  return fmt::format("http://{}:{}", host.find(':') == std::string::npos ? host : "[" + host + "]",
                     parsed->port);
}

std::string admin_url(const KeysOptions& options, const Variables& environment) {
  if (!options.admin.empty())
    return options.admin.find("://") == std::string::npos ? url_of(options.admin) : options.admin;
  const std::string address = variable_of(environment, kAddressVariable);
  return url_of(address.empty() ? "127.0.0.1:8081" : address);
}

std::string advice_for(const Error& error, const std::string& url) {
  if (error.reason == "connect_failed") {
    return fmt::format(
        "No server answers at {}. Start one, name another one with --admin, or work on the store's file "
        "itself "
        "with --store PATH.",
        url);
  }
  if (error.reason == "invalid_admin_token")
    return fmt::format("Give it with --token or {}.", kTokenVariable);
  return {};
}

int complain_of(const Error& error, const std::string& advice) {
  const bool ends = error.message.ends_with('.');
  fmt::print(stderr, "open-autoglm: {}{}{}\n", error.message,
             advice.empty() ? ""
             : ends         ? " "
                            : ". ",
             advice);
  return error.code == ErrorCode::kInvalidArgument ? 2 : 1;
}

Result<std::string> act(KeyAgent& agent, KeysVerb verb, const KeysOptions& options) {
  switch (verb) {
    case KeysVerb::kCreate: {
      const auto body = key_body(options);
      return body ? agent.create(*body) : body;
    }
    case KeysVerb::kList:
      return agent.list();
    case KeysVerb::kShow:
      return agent.show(options.name);
    case KeysVerb::kRevoke:
      return agent.revoke(options.name);
    case KeysVerb::kRotate:
      break;
  }
  return agent.rotate(options.name, rotation_body(options));
}

int after_writing(bool written, std::string_view advice) {
  if (written) return 0;
  fmt::print(stderr, "open-autoglm: standard output cannot be written: {}{}\n", std::strerror(errno), advice);
  return 1;
}

int complain_of_stranger() {
  fmt::print(stderr,
             "open-autoglm: what answered has not done it; is it the admin address of an Open-AutoGLM "
             "server?\n");
  return 1;
}

int show_secret(KeysVerb verb, const KeysOptions& options, const std::string& answer) {
  const std::string key = key_in(answer);
  if (key.empty()) return complain_of_stranger();
  if (!options.json) {
    fmt::print(stderr, "The {}key of {}, which is shown this once:\n",
               verb == KeysVerb::kRotate ? "new " : "", options.name);
  }
  return after_writing(print_now(options.json ? answer : key + "\n"),
                       ". The key is made, and nobody has it: rotate or revoke it");
}

int show(KeysVerb verb, const KeysOptions& options, const std::string& answer) {
  if (verb == KeysVerb::kCreate || verb == KeysVerb::kRotate) return show_secret(verb, options, answer);
  if (verb == KeysVerb::kRevoke && state_in(answer) != "revoked") return complain_of_stranger();
  if (verb == KeysVerb::kRevoke && !options.json) {
    fmt::print(stderr, "revoked {}; requests with it are refused from now on\n", options.name);
    return 0;
  }
  const Paint paint(shows_colours(STDOUT_FILENO));
  const bool is_list = verb == KeysVerb::kList;
  return after_writing(print_now(options.json ? answer
                                 : is_list    ? key_table(answer, options.all, paint)
                                              : key_facts(answer, paint)),
                       "");
}

}  // namespace

int keys(KeysVerb verb, const KeysOptions& options, const Variables& environment) {
  std::unique_ptr<KeyAgent> agent;
  std::string url;
  if (!options.store.empty() && !options.admin.empty()) {
    fmt::print(stderr, "open-autoglm: --store works on the file, --admin on a server: give one of them\n");
    return 2;
  }
  if (!options.store.empty()) {
    auto made = make_file_agent(options.store, verb == KeysVerb::kCreate);
    if (!made) return complain_of(made.error(), {});
    agent = std::move(*made);
  } else {
    url = admin_url(options, environment);
    auto parsed = http::Url::parse(url);
    if (!parsed) {
      fmt::print(stderr, "open-autoglm: --admin: {}\n", parsed.error().message);
      return 2;
    }
    agent = make_remote_agent(
        std::move(*parsed), options.token.empty() ? variable_of(environment, kTokenVariable) : options.token);
  }
  const auto answer = act(*agent, verb, options);
  if (!answer) return complain_of(answer.error(), advice_for(answer.error(), url));
  return show(verb, options, *answer);
}

}  // namespace autoglm::app
