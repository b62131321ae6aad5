#include "engine/engine_config.h"

namespace autoglm::engine {

std::vector<config::EnumName<Isolation>> enum_names(Isolation) {
  return {{"thread", Isolation::kThread}, {"process", Isolation::kProcess}};
}

config::Descriptor<EngineConfig> describe_engine() {
  using C = EngineConfig;
  return config::Descriptor<C>("engine", "A model that this process loads and runs itself.")
      .field(
          "path", &C::path,
          {.doc =
               "A .gguf file, a folder with one, a name of the catalogue (`open-autoglm models` lists it), "
               "`hf:ORG/REPO[:FILE or QUANT]`, `modelscope:ORG/REPO[:FILE]` or `https://…`. What is not "
               "here is fetched first.",
           .example = "smollm2-135m-instruct",
           .min = 1,
           .required = true})
      .field(
          "context", &C::context,
          {.doc =
               "Tokens that one request may have, prompt and answer together. 0: what the model was trained "
               "for, at most 8192.",
           .example = "8192",
           .max = 16'777'216})
      .field(
          "cache_tokens", &C::cache_tokens,
          {.doc =
               "Tokens that all requests together may keep in the KV cache; this is what costs memory. 0: as "
               "`context`.",
           .example = "16384",
           .max = 16'777'216})
      .field("max_sequences", &C::max_sequences,
             {.doc = "Answers that are generated at a time.", .min = 1, .max = 128})
      .field("max_waiting", &C::max_waiting,
             {.doc = "Requests that may wait beyond those; further ones are told 429.", .max = 1'000'000})
      .field(
          "threads", &C::threads,
          {.doc =
               "Compute threads. 0: the CPUs that the event loops leave; more than there are CPUs is slower.",
           .example = "2",
           .max = 512})
      .field("max_batch", &C::max_batch,
             {.doc = "Tokens of one step of computation.", .min = 16, .max = 65'536})
      .field(
          "saved_memory", &C::saved_memory,
          {.doc =
               "Memory for what a full cache has no room for: what requests had computed that were sent back "
               "to the queue, and prefixes that nobody uses at the moment. It is taken when it is needed. "
               "Beyond it, and with 0, it is computed again."})
      .field("prefix_cache", &C::prefix_cache,
             {.doc = "Keep what was computed while there is room, for later requests that begin alike. Not "
                     "possible "
                     "with recurrent models and sliding windows; the log says so."})
      .field(
          "max_stall", &C::max_stall,
          {.doc = "How long a step that reads prompts may take while others wait for their next token. While "
                  "those run fast it is less: three and a half times as long as a step without a prompt. "
                  "They wait "
                  "longer for prompts of a higher priority, and while many requests begin at once.",
           .min = 0.001,
           .max = 60})
      .field("isolation", &C::isolation,
             {.doc = "`process`: in a process of its own, so that a crash of native code or the kernel's "
                     "running out of memory takes this model, for as long as it loads, and not the server. "
                     "See docs/isolation.md."})
      .check([](const C& c) {
        std::vector<config::Violation> wrong;
        if (c.cache_tokens != 0 && c.context > c.cache_tokens) {
          wrong.push_back({"context", "must not be larger than cache_tokens: a request would never fit"});
        }
        return wrong;
      });
}

}  // namespace autoglm::engine
