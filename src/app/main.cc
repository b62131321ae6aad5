#include "app/builtins.h"
#include "app/chat/chat.h"
#include "app/config_center.h"
#include "app/engine_child.h"
#include "app/keys/keys_command.h"
#include "app/live_config.h"
#include "app/load_config.h"
#include "app/model_commands.h"
#include "app/model_set.h"
#include "app/operator/members_command.h"
#include "app/probe.h"
#include "app/server.h"
#include "base/suggest.h"
#include "config/render.h"
#include "gateway/endpoint/process/engine_child_config.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iterator>

namespace {

using namespace autoglm;

constexpr int kUsage = 2;  // as command-line tools return for wrong usage

/// Serves until the end. Returns why it cannot begin, as lines; empty: it did, and `code` is how it ended.
std::string serve_with(const app::ConfigInputs& inputs, const std::shared_ptr<app::ConfigCenter>& center,
                       const app::Environment& environment, const std::filesystem::path& cache, int& code) {
  auto loaded = app::load_config(inputs);
  code = kUsage;
  if (!loaded) return loaded.error();
  code = 1;
  if (auto resolved = app::resolve(loaded->config.models, cache); !resolved)
    return fmt::format("open-autoglm: {}\n", resolved.error().message);
  auto server = app::Server::create(app::LiveConfig(inputs, center, environment, cache, std::move(*loaded)));
  if (!server) return fmt::format("open-autoglm: {}\n", server.error().message);
  code = (*server)->run();
  return {};
}

int serve(const app::ServeOptions& options) {
  const app::Environment environment = app::process_environment();
  const std::filesystem::path cache = app::model_cache(environment);
  auto inputs = app::config_inputs(options, environment);
  if (!inputs) {
    fmt::print(stderr, "{}", inputs.error());
    return kUsage;
  }
  const auto center = app::ConfigCenter::named_by(*inputs, environment, cache.parent_path());
  if (center) {
    if (auto begun = center->begin(); !begun) {
      fmt::print(stderr, "open-autoglm: {}\n", begun.error().message);
      return 1;
    }
    inputs->add(center->source());
  }
  while (true) {
    int code = 0;
    const auto why = serve_with(*inputs, center, environment, cache, code);
    if (why.empty()) return code;
    // What the center says may be wrong; what it said before was not.
    if (!center || !center->fall_back(why)) {
      fmt::print(stderr, "{}", why);
      return code;
    }
    fmt::print(stderr,
               "{}open-autoglm: not used; the copy of an earlier configuration of the center is: {}\n", why,
               center->copy_path());
  }
}

enum class Show : std::uint8_t { kVerdict, kConfig, kSchema, kReference };

struct ValidateOptions {
  Show show = Show::kVerdict;
  bool strict = false;  ///< warnings count as mistakes
  bool probe = false;   ///< ask the endpoints
};

int validate(const app::ServeOptions& options, ValidateOptions how) {
  const Show show = how.show;
  const auto descriptor = app::describe_app();
  if (show == Show::kSchema) {
    fmt::print("{}", config::json_schema(*descriptor.description(), "Open-AutoGLM"));
    return 0;
  }
  if (show == Show::kReference) {
    fmt::print("{}", config::markdown_reference(*descriptor.description()));
    return 0;
  }
  const auto loaded = app::load_config(options, app::process_environment());
  if (!loaded) {
    fmt::print(stderr, "{}", loaded.error());
    return 1;
  }
  config::Diagnostics warnings = loaded->warnings;
  if (how.probe) std::ranges::move(app::probe(*loaded), std::back_inserter(warnings));
  fmt::print(stderr, "{}", config::to_string(warnings));
  if (show == Show::kConfig) {
    fmt::print("{}", config::print(descriptor, loaded->config, &loaded->tree));
  } else {
    const std::size_t count = warnings.size();
    fmt::print("{}: valid{}\n", options.config_file.empty() ? "the environment" : options.config_file,
               count == 0 ? "" : fmt::format(", with {} warning{}", count, count == 1 ? "" : "s"));
    for (const std::string& line : app::asked_registries(loaded->config)) fmt::print("{}\n", line);
  }
  return how.strict && !warnings.empty() ? 1 : 0;
}

void add_config_option(CLI::App& command, const std::string& names, app::ServeOptions& options) {
  command.add_option(names, options.config_file, "A YAML file; docs/reference/config.md has its keys")
      ->type_name("FILE");
}

void add_serve(CLI::App& program, app::ServeOptions& options, int& code) {
  CLI::App* command = program.add_subcommand("serve", "Load models and answer requests");
  add_config_option(*command, "--config,-c", options);
  command
      ->add_option("--model,-m,model", options.model,
                   "A .gguf file, a folder with one, a name (see `models`), hf:ORG/REPO,\n"
                   "modelscope:ORG/REPO, https://…; fetched if it is not here")
      ->type_name("MODEL");
  command->add_option("--host", options.host, "The address to listen on; default 0.0.0.0")->type_name("HOST");
  command->add_option("--port,-p", options.port, "Its port; default 8080, 0 takes a free one")
      ->type_name("PORT")
      ->check(CLI::Range(0, 65535));
  command->add_option("--admin-port", options.admin_port, "The operator's port; default 8081")
      ->type_name("PORT")
      ->check(CLI::Range(0, 65535));
  command
      ->add_option(
          "--generation-defaults", options.generation_defaults,
          "For what requests do not say about sampling: model, its own\ndefaults; none, plain sampling")
      ->type_name("WHOSE")
      ->check(CLI::IsMember({"model", "none"}));
  command->final_callback([&] { code = serve(options); });
}

void add_validate(CLI::App& program, app::ServeOptions& options, ValidateOptions& how, int& code) {
  CLI::App* command = program.add_subcommand(
      "validate", "Check a configuration: each mistake and warning with its file,\nline and key");
  add_config_option(*command, "--config,-c,config", options);
  const auto choose = [&how](Show what) { return [&how, what] { how.show = what; }; };
  command->add_flag_callback("--print", choose(Show::kConfig),
                             "Print it as it would be used, and where each value is from");
  command->add_flag_callback("--schema", choose(Show::kSchema), "Print the JSON Schema, for editors");
  command->add_flag_callback("--reference", choose(Show::kReference),
                             "Print the reference of all keys, in Markdown");
  command->add_flag("--strict", how.strict, "Exit with 1 for warnings, too");
  command->add_flag("--probe", how.probe,
                    "Ask each endpoint whether it is there, healthy, and has the model");
  command->final_callback([&] { code = validate(options, how); });
}

void add_models(CLI::App& program, std::string& model, int& code) {
  CLI::App* pull = program.add_subcommand("pull", "Fetch a model, or go on fetching it");
  pull->add_option("model", model,
                   "A name (see `models`), hf:ORG/REPO[:FILE or QUANT],\n"
                   "modelscope:ORG/REPO[:FILE or QUANT], https://…")
      ->required()
      ->type_name("MODEL");
  pull->footer(
      "Environment: HF_ENDPOINT, HF_TOKEN, MODELSCOPE_ENDPOINT, HTTPS_PROXY, NO_PROXY, XDG_CACHE_HOME");
  pull->final_callback([&] { code = app::pull(model, app::process_environment()); });
  program.add_subcommand("models", "List the models that have names, and those that are here")
      ->final_callback([&] { code = app::list_models(app::process_environment()); });
  CLI::App* remove = program.add_subcommand("rm", "Remove a fetched model from this machine");
  remove->add_option("model", model, "As `models` lists it")->required()->type_name("MODEL");
  remove->final_callback([&] { code = app::remove_model(model, app::process_environment()); });
}

void add_chat(CLI::App& program, app::ChatOptions& options, int& code) {
  CLI::App* command = program.add_subcommand("chat", "Talk to a server in the terminal");
  command->add_option("--url", options.url, "The server; default http://127.0.0.1:8080")->type_name("URL");
  command->add_option("--model,-m", options.model, "Which of its models")->type_name("NAME");
  command->add_option("--system", options.system, "What the model is told first")->type_name("TEXT");
  command->add_option("--max-tokens", options.max_tokens, "At most, of one answer")->type_name("N");
  command->add_option("--api-key", options.api_key, "Sent as a bearer token")
      ->envname("OPENAI_API_KEY")
      ->type_name("KEY");
  command->final_callback([&] { code = app::chat(options, app::process_environment()); });
}

void add_members(CLI::App& program, app::MembersOptions& options, int& code) {
  CLI::App* command =
      program.add_subcommand("members", "List a running gateway's servers, and where they are from");
  command
      ->add_option("--admin", options.admin.admin, "The admin address of the server; default 127.0.0.1:8081")
      ->type_name("URL");
  command->add_option("--token", options.admin.token, "Its token")->type_name("TOKEN");
  command->add_flag("--json", options.json, "Print JSON, as the admin address answers it");
  command->add_flag("--watch,-w", options.watch, "Go on, and print what changes, until Ctrl-C");
  command->footer(
      "Environment: OPEN_AUTOGLM_SERVER_ADMIN_LISTEN, OPEN_AUTOGLM_SERVER_ADMIN_TOKEN, as the server's own");
  command->final_callback([&] { code = app::members(options, app::process_environment()); });
}

/// What all verbs of `keys` have.
CLI::App* add_keys_verb(CLI::App& keys, app::KeysVerb verb, const char* name, const char* what,
                        app::KeysOptions& options, int& code) {
  CLI::App* command = keys.add_subcommand(name, what);
  if (verb != app::KeysVerb::kList)
    command->add_option("name", options.name, "The key's name")->required()->type_name("NAME");
  command->add_option("--admin", options.admin, "The admin address of the server; default 127.0.0.1:8081")
      ->type_name("URL");
  command->add_option("--token", options.token, "Its token")->type_name("TOKEN");
  command->add_option("--store", options.store, "Without a server: the file of `key_store.path`")
      ->type_name("FILE");
  command->add_flag("--json", options.json, "Print JSON, as the admin address answers it");
  command->final_callback(
      [&options, &code, verb] { code = app::keys(verb, options, app::process_environment()); });
  return command;
}

void add_key_rights(CLI::App& command, app::KeysOptions& options) {
  command.add_option("--tenant", options.tenant, "To whom it belongs; default: NAME")->type_name("TENANT");
  command.add_option("--group", options.group, "The group that its calls run in")->type_name("GROUP");
  command.add_option("--models", options.models, "The models that it may use, such as a,b*; default: all")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--priority", options.priority, "Of its calls, 9 first; default 0")
      ->type_name("N")
      ->check(CLI::Range(0, 9));
  command.add_option("--limits", options.limits, "The limits that hold for it; default: all")
      ->type_name("NAMES")
      ->delimiter(',')
      ->allow_extra_args(false);
  command.add_option("--tokens", options.budget_tokens, "Its budget in tokens")->type_name("N");
  command.add_option("--cost", options.budget_cost, "Its budget in the currency of `prices`")->type_name("N");
  command.add_option("--per", options.budget_per, "The time of its budget: day or month, the default")
      ->type_name("TIME")
      ->check(CLI::IsMember({"day", "month"}));
  command.add_flag("--hard", options.budget_hard, "End an answer that passes its budget");
  command
      .add_option("--expires", options.expires, "When it ends: 90d, or 2027-01-31T00:00:00Z; default: never")
      ->type_name("WHEN");
  command.add_option("--label", options.labels, "A note for the operator; more than once for more")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
}

void add_keys(CLI::App& program, app::KeysOptions& options, int& code) {
  using app::KeysVerb;
  CLI::App* keys = program.add_subcommand("keys", "Make, list and revoke the keys of a running server");
  keys->require_subcommand(1);
  keys->footer(
      "Environment: OPEN_AUTOGLM_SERVER_ADMIN_LISTEN, OPEN_AUTOGLM_SERVER_ADMIN_TOKEN, as the server's own");
  CLI::App* create =
      add_keys_verb(*keys, KeysVerb::kCreate, "create", "Make a key, and show it once", options, code);
  add_key_rights(*create, options);
  add_keys_verb(*keys, KeysVerb::kList, "list", "List the keys that are in force", options, code)
      ->add_flag("--all", options.all, "Those that were revoked or have expired, too");
  add_keys_verb(*keys, KeysVerb::kShow, "show", "Show what a key may do", options, code);
  add_keys_verb(*keys, KeysVerb::kRevoke, "revoke", "End a key for good", options, code);
  add_keys_verb(*keys, KeysVerb::kRotate, "rotate", "Give a key a new secret, and show it once", options,
                code)
      ->add_option("--grace", options.grace,
                   "How long the old one is still good, such as 1h; default: not at all")
      ->type_name("TIME");
}

/// For a better error about an unknown first word than "a subcommand is required".
bool knows_command(const CLI::App& program, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  if (word.starts_with('-') || std::ranges::find(names, word) != names.end()) return true;
  const auto near = nearest(word, names);
  fmt::print(stderr, "open-autoglm: there is no command \"{}\"{}; see open-autoglm --help\n", word,
             near ? fmt::format("; did you mean {}?", *near) : "");
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on files is a full disk, for which there is an answer
  std::signal(SIGPIPE, SIG_IGN);  // the end of a reader of our output must not end us
  ::tzset();  // while there is one thread: libc does this with the first time that is shown, under a lock of
              // its own that the thread sanitizer does not see
  if (argc >= 2 && argv[1] == gateway::kEngineCommand) return app::run_engine_child();

  CLI::App program("Serves language models over OpenAI's API, from this process.", "open-autoglm");
  program.set_version_flag("--version", "open-autoglm " + app::version());
  program.require_subcommand(1);
  program.footer(
      "Environment: MODEL_NAME (a model, or none), MAX_WORKERS (a ceiling on threads), API_TIMEOUT\n"
      "(seconds, 30), ENABLE_METRICS (true); every key of the configuration as OPEN_AUTOGLM_SECTION_KEY.");

  int code = 0;
  app::ServeOptions options;
  app::ChatOptions talk;
  ValidateOptions how;
  add_serve(program, options, code);
  add_validate(program, options, how, code);
  std::string model;
  add_models(program, model, code);
  add_chat(program, talk, code);
  app::KeysOptions key_options;
  add_keys(program, key_options, code);
  app::MembersOptions member_options;
  add_members(program, member_options, code);

  if (argc < 2) {
    fmt::print("{}", program.help());
    return kUsage;
  }
  if (!knows_command(program, argv[1])) return kUsage;
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : kUsage;
  }
  return code;
}
