#include "gateway/protocol/openai/client_body.h"

#include "gateway/protocol/carried.h"
#include "gateway/protocol/json/object_writer.h"
#include "gateway/protocol/openai/chat_messages.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

namespace autoglm::protocol::openai {

namespace {

using Kind = OutputFormat::Kind;

// Every field has a name among those of OpenAI, vLLM and llama-server, and goes under it; as when a body
// passes, the server judges it.
constexpr Carried kCarried{.chats = true,
                           .texts = true,
                           .tokens = true,
                           .prompts = true,
                           .choices = true,
                           .suffix = true,
                           .plain_special = true,
                           .tools = true,
                           .tool_choice = true,
                           .single_tool = true,
                           .continues = true,
                           .top_k = true,
                           .min_p = true,
                           .penalties = true,
                           .repetition = true,
                           .typical_p = true,
                           .top_n_sigma = true,
                           .window = true,
                           .seed = true,
                           .token_choice = true,
                           .include_stop = true,
                           .ignore_eos = true,
                           .min_tokens = true,
                           .bad_words = true,
                           .json_object = true,
                           .json_schema = true,
                           .grammar = true,
                           .logprobs = true,
                           .truncation = true,
                           .add_special = true,
                           .salt = true,
                           .resumes = true};

template <class Item>
std::string list_of(const std::vector<Item>& items) {
  return fmt::format("[{}]", fmt::join(items, ","));
}

void append_strings(std::string& out, std::span<const std::string> texts) {
  for (char before = '['; const std::string& text : texts) {
    out += std::exchange(before, ',');
    append_json_string(out, text);
  }
  out += texts.empty() ? "[]" : "]";
}

void write_sampling(JsonObjectWriter& body, const InferenceRequest& request, const EndpointTerms& terms) {
  const SamplingRequest& sampling = request.generation()->sampling;
  for_each_sampling_number([&](const char* name, auto number, auto, const SamplingRange&) {
    body.number(name, sampling.*number);
  });
  body.number("typical_p", sampling.typical_p);
  body.number("top_n_sigma", sampling.top_n_sigma);
  body.number("repeat_last_n", sampling.penalty_window);
  // A server that continues must draw as the first one did.
  if (sampling.seed && (!request.seed_chosen || terms.ask_tokens))
    body.number("seed", static_cast<std::int64_t>(*sampling.seed));
  if (!sampling.logit_bias.empty()) {
    JsonObjectWriter biases(body.key("logit_bias"));
    // OpenAI has no stronger word for never.
    for (const auto& [token, bias] : sampling.logit_bias)
      biases.number(std::to_string(token), std::isinf(bias) ? -100.0F : bias);
    biases.end();
  }
  if (!sampling.allowed_tokens.empty()) body.json("allowed_token_ids", list_of(sampling.allowed_tokens));
}

/// A text without a limit is one of 16 tokens to servers, as OpenAI has it, unless they are told otherwise:
/// ours by llama-server's word, the others by null, which is the rest of the context to vLLM and
/// llama-server. To OpenAI itself null is 16 again; but no number is right everywhere, since vLLM refuses one
/// that is beyond the context.
void write_limit(JsonObjectWriter& body, const GenerateRequest& work, const EndpointTerms& terms,
                 BodyForm form) {
  const bool chat = std::holds_alternative<ChatPrompt>(work.prompts.front());
  std::optional<std::uint32_t> most = work.stop.max_tokens;
  // Only llama-server's word may be 0 in servers of ours: the prompt is read, and nothing generated.
  if (terms.ours && most == 0U) return body.number("n_predict", 0);
  if (most && !work.resume_text.empty())
    most = *most > work.resume_text_tokens ? *most - work.resume_text_tokens : 1;
  if (most || chat)
    return body.number(chat && form.newer_limit ? "max_completion_tokens" : "max_tokens", most);
  if (terms.ours) return body.number("n_predict", -1);
  body.json("max_tokens", "null");
}

void write_end(JsonObjectWriter& body, const GenerateRequest& work) {
  const StopConditions& stop = work.stop;
  if (!stop.stop.empty()) append_strings(body.key("stop"), stop.stop);
  if (!stop.stop_tokens.empty()) body.json("stop_token_ids", list_of(stop.stop_tokens));
  if (stop.include_stop) body.flag("include_stop_str_in_output", true);
  if (stop.ignore_eos) body.flag("ignore_eos", true);
  if (stop.min_tokens > 0) body.number("min_tokens", stop.min_tokens);
  if (!work.bad_words.empty()) append_strings(body.key("bad_words"), work.bad_words);
}

void write_format(JsonObjectWriter& body, const OutputFormat& format) {
  if (format.kind == Kind::kJsonObject) body.json("response_format", R"({"type":"json_object"})");
  if (format.kind == Kind::kJsonSchema) {
    body.json("response_format",
              fmt::format(R"({{"type":"json_schema","json_schema":{{"name":"answer","schema":{}}}}})",
                          format.definition));
  }
  if (format.kind == Kind::kGrammar) body.text("grammar", format.definition);
}

void write_chat(JsonObjectWriter& body, ChatPrompt chat, const std::string& resume_text) {
  if (!resume_text.empty()) {
    // A beginning that the client gave is continued; else the answer's own is.
    if (chat.continue_final_message && !chat.messages.empty()) {
      chat.messages.back().content += resume_text;
    } else {
      chat.messages.push_back({.role = "assistant", .content = resume_text});
    }
    chat.continue_final_message = true;
  }
  append_messages(body.key("messages"), chat);
  if (!chat.tools.empty()) {
    append_tools(body.key("tools"), chat.tools);
    if (chat.tool_use != ToolUse::kAuto)
      body.text("tool_choice", chat.tool_use == ToolUse::kNone ? "none" : "required");
    if (!chat.parallel_tool_calls) body.flag("parallel_tool_calls", false);
  }
  if (chat.continue_final_message) {
    body.flag("add_generation_prompt", false);
    body.flag("continue_final_message", true);
  } else if (!chat.add_generation_prompt) {
    body.flag("add_generation_prompt", false);
  }
  auto& arguments = chat.template_arguments;
  if (const auto effort = arguments.find("reasoning_effort"); effort != arguments.end()) {
    body.json("reasoning_effort", effort->second);
    // The codec says both of "none".
    if (effort->second == "\"none\"") arguments.erase("enable_thinking");
    arguments.erase("reasoning_effort");
  }
  if (arguments.empty()) return;
  std::string& out = body.key("chat_template_kwargs");
  for (char before = '{'; const auto& [name, value] : arguments) {
    out += std::exchange(before, ',');
    append_json_string(out, name);
    out.append(1, ':').append(value);
  }
  out += '}';
}

std::string prompt_json(const Prompt& prompt) {
  if (const auto* tokens = std::get_if<TokenPrompt>(&prompt)) return list_of(tokens->tokens);
  return json_string(std::get<TextPrompt>(prompt).text);
}

void write_prompts(JsonObjectWriter& body, const GenerateRequest& work) {
  const auto* text = std::get_if<TextPrompt>(&work.prompts.front());
  if (work.prompts.size() > 1) {
    std::string& out = body.key("prompt");
    for (char before = '['; const Prompt& prompt : work.prompts)
      out.append(1, std::exchange(before, ',')).append(prompt_json(prompt));
    out += ']';
  } else if (text != nullptr) {
    body.text("prompt", text->text + work.resume_text);
  } else {
    body.json("prompt", prompt_json(work.prompts.front()));
  }
  if (text != nullptr && !text->suffix.empty()) body.text("suffix", text->suffix);
  if (text != nullptr && !text->parse_special) body.flag("parse_special", false);
}

void write_priority(JsonObjectWriter& body, const EndpointTerms& terms) {
  if (terms.ours && terms.priority > 0) body.number("priority", terms.priority);
}

void write_logprobs(JsonObjectWriter& body, std::optional<std::uint32_t> top, bool chat) {
  if (!top) return;
  if (!chat) return body.number("logprobs", *top);
  body.flag("logprobs", true);
  if (*top > 0) body.number("top_logprobs", *top);
}

/// What only Open-AutoGLM servers are told: what is urgent, tokens, and where to go on.
void write_ours(JsonObjectWriter& body, const InferenceRequest& request, const EndpointTerms& terms) {
  write_priority(body, terms);
  if (terms.ask_tokens) body.flag("return_token_ids", true);
  const auto& resume = request.generation()->resume;
  if (resume.empty()) return;
  std::string lists;
  for (const auto& tokens : resume) lists += (lists.empty() ? "" : ",") + list_of(tokens);
  body.json("resume", fmt::format(R"({{"token_ids":[{}],"created":{}}})", lists, request.created));
}

/// vLLM's word, which OpenAI itself refuses.
void write_truncation(JsonObjectWriter& body, bool truncates, const EndpointTerms& terms) {
  if (truncates && (terms.ours || terms.continues_chats)) body.number("truncate_prompt_tokens", -1);
}

}  // namespace

Result<std::string> generation_body(const InferenceRequest& request, const EndpointTerms& terms,
                                    BodyForm form, std::string_view protocol) {
  if (auto carried = check_carried(request, kCarried, protocol); !carried)
    return fail(std::move(carried).error());
  const GenerateRequest& work = *request.generation();
  // vLLM has another word for it in each of its versions, and ignores those that it does not know.
  if (work.format.kind == Kind::kGrammar && terms.continues_chats)
    return fail(
        cannot_carry(std::string(work.format.field()), "vLLM's or SGLang's dialect of OpenAI's protocol"));
  const auto* chat = std::get_if<ChatPrompt>(&work.prompts.front());
  std::string out;
  JsonObjectWriter body(out);
  body.text("model", terms.model.empty() ? std::string_view(request.model) : terms.model);
  if (chat != nullptr) {
    write_chat(body, *chat, work.resume_text);
  } else {
    write_prompts(body, work);
  }
  body.flag("stream", true);
  body.json("stream_options", R"({"include_usage":true})");
  if (work.n > 1) body.number("n", work.n);
  write_limit(body, work, terms, form);
  write_end(body, work);
  write_sampling(body, request, terms);
  write_format(body, work.format);
  write_logprobs(body, work.top_logprobs, chat != nullptr);
  if (work.truncation) {
    body.number("truncate_prompt_tokens", work.truncation->tokens);
    if (work.truncation->keeps_beginning) body.text("truncation_side", "right");
  }
  if (work.add_special) body.flag("add_special_tokens", *work.add_special);
  if (!work.cache_salt.empty()) body.text("cache_salt", work.cache_salt);
  if (terms.ours) write_ours(body, request, terms);
  body.end();
  return out;
}

Result<std::string> embeddings_body(const EmbedRequest& work, std::string_view model,
                                    const EndpointTerms& terms, std::string_view protocol) {
  if (!work.normalized && !terms.ours) return fail(cannot_carry("normalize", protocol));
  std::string out;
  JsonObjectWriter body(out);
  body.text("model", model);
  std::string& inputs = body.key("input");
  for (char before = '['; const Prompt& input : work.inputs) {
    if (std::holds_alternative<ChatPrompt>(input)) return fail(cannot_carry("messages", protocol));
    inputs.append(1, std::exchange(before, ',')).append(prompt_json(input));
  }
  inputs += ']';
  body.text("encoding_format", "float");
  body.number("dimensions", work.dimensions);
  if (!work.normalized) body.flag("normalize", false);
  write_truncation(body, work.truncates, terms);
  write_priority(body, terms);
  body.end();
  return out;
}

std::string rerank_body(const ScoreRequest& work, std::string_view model, const EndpointTerms& terms) {
  std::string out;
  JsonObjectWriter body(out);
  body.text("model", model);
  body.text("query", work.queries.front());
  append_strings(body.key("documents"), work.documents);
  body.number("top_n", work.documents.size());
  if (terms.ours) {
    body.flag("truncate", work.truncates);
  } else {
    write_truncation(body, work.truncates, terms);
  }
  write_priority(body, terms);
  body.end();
  return out;
}

std::string score_body(const ScoreRequest& work, std::string_view model, const EndpointTerms& terms) {
  std::string out;
  JsonObjectWriter body(out);
  body.text("model", model);
  append_strings(body.key("text_1"), work.queries);
  append_strings(body.key("text_2"), work.documents);
  write_truncation(body, work.truncates, terms);
  write_priority(body, terms);
  body.end();
  return out;
}

}  // namespace autoglm::protocol::openai
