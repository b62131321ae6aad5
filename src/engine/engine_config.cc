#include "engine/engine_config.h"

#include <utility>

namespace autoglm {

std::vector<config::EnumName<ModelTask>> enum_names(ModelTask) {
  return {{"generate", ModelTask::kGenerate}, {"embed", ModelTask::kEmbed}, {"rank", ModelTask::kRank}};
}

}  // namespace autoglm

namespace autoglm::engine {

std::vector<config::EnumName<Isolation>> enum_names(Isolation) {
  return {{"thread", Isolation::kThread}, {"process", Isolation::kProcess}};
}

std::vector<config::EnumName<GenerationDefaults>> enum_names(GenerationDefaults) {
  return {{"model", GenerationDefaults::kModel}, {"none", GenerationDefaults::kNone}};
}

namespace {

config::Descriptor<SamplingNumbers> describe_sampling() {
  using C = SamplingNumbers;
  return config::Descriptor<C>(
             "sampling",
             "How tokens are chosen for requests that do not say it themselves; goes before "
             "what is known of the model. See docs/models.md.")
      .field("temperature", &C::temperature,
             {.doc = "0: always the likeliest token. 1: the model's own distribution.",
              .example = "0.7",
              .min = 0,
              .max = 2})
      .field("top_p", &C::top_p,
             {.doc = "The likeliest tokens that make up this share, and no others. 1: all.",
              .example = "0.9",
              .min = 0,
              .max = 1})
      .field("top_k", &C::top_k,
             {.doc = "So many of the likeliest tokens. 0: all.", .example = "40", .min = 0})
      .field("min_p", &C::min_p,
             {.doc = "Tokens at least this likely, relative to the likeliest. 0: all.",
              .example = "0.05",
              .min = 0,
              .max = 1})
      .field("presence_penalty", &C::presence_penalty,
             {.doc = "Taken off a token's logit once it is in the answer.", .min = -2, .max = 2})
      .field("frequency_penalty", &C::frequency_penalty,
             {.doc = "Taken off each time that it is in the answer.", .min = -2, .max = 2})
      .field("repetition_penalty", &C::repetition_penalty,
             {.doc = "Divides a token's logit once it is in prompt or answer. 1: off.",
              .example = "1.05",
              .min = 0,
              .max = 10})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        for_each_sampling_number([&](std::string_view name, auto member, auto, const SamplingRange& range) {
          if (c.*member && !range.contains(static_cast<double>(*(c.*member))))
            wrong.push_back({std::string(name), "must be above 0"});  // descriptors check all other limits
        });
        return wrong;
      });
}

/// Adds the keys for requests that leave sampling values out.
config::Descriptor<EngineConfig> with_defaults(config::Descriptor<EngineConfig> engine) {
  using C = EngineConfig;
  return std::move(engine)
      .section("sampling", &C::sampling, describe_sampling())
      .field(
          "generation_defaults", &C::generation_defaults,
          {.doc = "`model`: what a request does not say about sampling is as the model's own defaults have "
                  "it. `none`: plain sampling, but for what `sampling` says. Unset: "
                  "`server.generation_defaults`.",
           .example = "none"})
      .field("chat_template", &C::chat_template,
             {.doc = "How chats are written, in place of the template that the model's file carries: a file "
                     "with one in Jinja, or one of llama.cpp's names (`chatml`, `llama3`, `mistral-v7`, …; "
                     "these have no tools).",
              .example = "/etc/open-autoglm/chat.jinja"})
      .field("system_message", &C::system_message,
             {.doc = "What chats begin with that have no system message of their own, in place of what the "
                     "model's template would say then. Unset: the catalogue's, where it has one.",
              .example = "You answer briefly."});
}

}  // namespace

config::Descriptor<EngineConfig> describe_engine() {
  using C = EngineConfig;
  return with_defaults(
      config::Descriptor<C>("engine", "A model that this process loads and runs itself.")
          .field("path", &C::path,
                 {.doc = "A .gguf file, a folder with one, a name of the catalogue (`open-autoglm models` "
                         "lists it), `hf:ORG/REPO[:FILE or QUANT]`, `modelscope:ORG/REPO[:FILE]` or "
                         "`https://…`. What is not here is fetched first.",
                  .example = "smollm2-135m-instruct",
                  .min = 1,
                  .address = true,
                  .required = true})
          .field(
              "task", &C::task,
              {.doc = "`generate`: text. `embed`: a vector for a text. `rank`: how well a document answers "
                      "a query. Unset: as the model's file says; a file that says nothing generates.",
               .example = "embed"})
          .field("context", &C::context,
                 {.doc = "Tokens that one request may have, prompt and answer together; of an embedding "
                         "model, each text. 0: what the model was trained for, at most 8192, and 2048 for "
                         "embeddings.",
                  .example = "8192",
                  .max = 16'777'216})
          .field("cache_tokens", &C::cache_tokens,
                 {.doc = "Tokens that all requests together may keep in the KV cache; this is what costs "
                         "memory. 0: as `context`.",
                  .example = "16384",
                  .max = 16'777'216})
          .field("max_sequences", &C::max_sequences,
                 {.doc = "Answers that are generated at a time.", .min = 1, .max = 128})
          .field("max_waiting", &C::max_waiting,
                 {.doc = "Answers that may wait beyond those, each of `n`; further ones are told 429.",
                  .max = 1'000'000})
          .field(
              "threads", &C::threads,
              {.doc =
                   "Compute threads, always so many. 0: decided for each step, at most one a physical core.",
               .example = "2",
               .max = 512})
          .field("max_batch", &C::max_batch,
                 {.doc = "Tokens of one step of computation.", .min = 16, .max = 65'536})
          .field("saved_memory", &C::saved_memory,
                 {.doc = "Memory for what a full cache has no room for: what requests had computed that were "
                         "sent back to the queue, and prefixes that nobody uses at the moment. It is taken "
                         "when it is needed. Beyond it, and with 0, it is computed again."})
          .field("prefix_cache", &C::prefix_cache,
                 {.doc = "Keep what was computed while there is room, for later requests that begin alike. "
                         "Not possible with recurrent models and sliding windows; the log says so."})
          .field("max_stall", &C::max_stall,
                 {.doc = "How long a step that reads prompts may take while others wait for their next "
                         "token. While those run fast it is less: three and a half times as long as a step "
                         "without a prompt. They wait longer for prompts of a higher priority, and while "
                         "many requests begin at once.",
                  .min = 0.001,
                  .max = 60})
          .field("isolation", &C::isolation,
                 {.doc = "`process`: in a process of its own, so that a crash of native code or the kernel's "
                         "running out of memory takes this model, for as long as it loads, and not the "
                         "server. See docs/isolation.md."})
          .live(false)  // the old and the new model may not fit into memory together
          .check([](const C& c) {
            std::vector<config::Violation> wrong;
            if (c.cache_tokens != 0 && c.context > c.cache_tokens) {
              wrong.push_back({"context", "must not be larger than cache_tokens: a request would never fit"});
            }
            return wrong;
          }));
}

}  // namespace autoglm::engine
