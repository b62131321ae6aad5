#include "app/keys/keys_command.h"

#include "app/keys/key_agent.h"
#include "app/keys/key_text.h"

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

using Variables = std::map<std::string, std::string>;

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
  std::string origin;
  if (!options.store.empty() && !options.admin.empty()) {
    fmt::print(stderr, "open-autoglm: --store works on the file, --admin on a server: give one of them\n");
    return 2;
  }
  if (!options.store.empty()) {
    auto made = make_file_agent(options.store, verb == KeysVerb::kCreate);
    if (!made) return complain_of(made.error(), {});
    agent = std::move(*made);
  } else {
    auto client = AdminClient::of({.admin = options.admin, .token = options.token}, environment);
    if (!client) return complain_of(client.error(), {});
    origin = client->origin();
    agent = make_remote_agent(std::move(*client));
  }
  const auto answer = act(*agent, verb, options);
  if (!answer)
    return complain_of(answer.error(),
                       advice_for(answer.error(), origin,
                                  "name another one with --admin, or work on the store's file itself with "
                                  "--store PATH"));
  return show(verb, options, *answer);
}

}  // namespace autoglm::app
