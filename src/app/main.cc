#include "app/builtins.h"
#include "app/chat.h"
#include "app/load_config.h"
#include "app/server.h"
#include "config/render.h"
#include "engine/models/catalogue.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>

namespace {

using namespace autoglm;

constexpr int kUsage = 2;  // what shells' tools return for a wrong call

std::filesystem::path cache() {
  const auto variable = [](const char* name) {
    return std::string_view(std::getenv(name) != nullptr ? std::getenv(name) : "");
  };
  return engine::model_cache(variable("XDG_CACHE_HOME"), variable("HOME"));
}

int serve(const app::ServeOptions& options) {
  auto loaded = app::load_config(options, app::process_environment());
  if (!loaded) {
    fmt::print(stderr, "{}", loaded.error());
    return kUsage;
  }
  auto server = app::Server::create(std::move(loaded->config), cache());
  if (!server) {
    fmt::print(stderr, "open-autoglm: {}\n", server.error().message);
    return 1;
  }
  return (*server)->run();
}

enum class Show : std::uint8_t { kVerdict, kConfig, kSchema, kReference };

int validate(const app::ServeOptions& options, Show show) {
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
  if (show == Show::kConfig) {
    fmt::print("{}", config::print(descriptor, loaded->config, &loaded->tree));
  } else {
    fmt::print("{}: valid\n", options.config_file.empty() ? "the environment" : options.config_file);
  }
  return 0;
}

int list_models() {
  const std::filesystem::path folder = cache();
  fmt::print("{:<24} {:>9}  {}\n", "NAME", "SIZE", "ABOUT");
  for (const auto& entry : engine::catalogue()) {
    std::error_code missing;
    const auto size = std::filesystem::file_size(folder / entry.name / entry.file, missing);
    const std::string shown =
        missing ? "-" : fmt::format("{:.0f} MiB", static_cast<double>(size) / (1024 * 1024));
    fmt::print("{:<24} {:>9}  {}\n", entry.name, shown, entry.about);
  }
  fmt::print("\nThose with a size are in {}.\n", folder.string());
  return 0;
}

void add_config_option(CLI::App& command, app::ServeOptions& options) {
  command
      .add_option("--config,-c", options.config_file, "A YAML file; docs/reference/config.md has its keys")
      ->type_name("FILE");
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader of our output that leaves is no reason to die

  CLI::App program("Serves language models over OpenAI's API, from this process.", "open-autoglm");
  program.set_version_flag("--version", "open-autoglm " + app::version());
  program.require_subcommand(1);
  program.footer(
      "Environment: MODEL_NAME (a model, or none), MAX_WORKERS (a ceiling on threads), API_TIMEOUT\n"
      "(seconds, 30), ENABLE_METRICS (true); every key of the configuration as OPEN_AUTOGLM_SECTION_KEY.");

  app::ServeOptions options;
  CLI::App* serve_command = program.add_subcommand("serve", "Load models and answer requests");
  add_config_option(*serve_command, options);
  serve_command
      ->add_option("--model,-m,model", options.model,
                   "A .gguf file, a folder with one, or a name (see `models`)")
      ->type_name("MODEL");
  serve_command->add_option("--host", options.host, "The address to listen on; default 0.0.0.0")
      ->type_name("HOST");
  serve_command->add_option("--port,-p", options.port, "Its port; default 8080, 0 takes a free one")
      ->type_name("PORT");
  serve_command->add_option("--admin-port", options.admin_port, "The operator's port; default 8081")
      ->type_name("PORT");

  Show show = Show::kVerdict;
  CLI::App* validate_command =
      program.add_subcommand("validate", "Check a configuration, naming each mistake's file, line and key");
  add_config_option(*validate_command, options);
  validate_command->add_option("config", options.config_file, "The same")->type_name("FILE");
  validate_command->add_flag_callback(
      "--print", [&] { show = Show::kConfig; }, "Print it as it would be used, and where each value is from");
  validate_command->add_flag_callback(
      "--schema", [&] { show = Show::kSchema; }, "Print the JSON Schema, for editors");
  validate_command->add_flag_callback(
      "--reference", [&] { show = Show::kReference; }, "Print the reference of all keys, in Markdown");

  CLI::App* models_command =
      program.add_subcommand("models", "List the models that have names, and which are here");

  app::ChatOptions talk;
  CLI::App* chat_command = program.add_subcommand("chat", "Talk to a server in the terminal");
  chat_command->add_option("--url", talk.url, "The server; default http://127.0.0.1:8080")->type_name("URL");
  chat_command->add_option("--model,-m", talk.model, "Which of its models")->type_name("NAME");
  chat_command->add_option("--system", talk.system, "What the model is told first")->type_name("TEXT");
  chat_command->add_option("--api-key", talk.api_key, "Sent as a bearer token")
      ->envname("OPENAI_API_KEY")
      ->type_name("KEY");

  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : kUsage;
  }
  if (*serve_command) return serve(options);
  if (*validate_command) return validate(options, show);
  if (*models_command) return list_models();
  return app::chat(talk);
}
