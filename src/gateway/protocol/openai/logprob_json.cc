#include "gateway/protocol/openai/logprob_json.h"

#include "base/json_string.h"
#include "base/utf8.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

namespace autoglm::protocol::openai {

namespace {

/// A token's text for people: its bytes, as far as they are characters.
void append_token_text(std::string& out, const TokenLogprob& token) {
  std::string text;
  append_valid_utf8(text, token.bytes);
  append_json_string(out, text);
}

/// JSON has neither NaN nor infinities.
void append_logprob(std::string& out, double logprob) {
  if (std::isnan(logprob)) {
    out += "null";
  } else {
    fmt::format_to(std::back_inserter(out), "{}", std::isinf(logprob) ? -9999.0 : logprob);
  }
}

void append_token(std::string& out, const TokenLogprob& token) {
  out += R"({"token":)";
  append_token_text(out, token);
  out += R"(,"logprob":)";
  append_logprob(out, token.logprob);
  out += R"(,"bytes":[)";
  for (std::size_t i = 0; i < token.bytes.size(); ++i) {
    fmt::format_to(std::back_inserter(out), "{}{}", i > 0 ? "," : "",
                   static_cast<unsigned char>(token.bytes[i]));
  }
  out += ']';
}

void append_top(std::string& out, const TokenLogprob& token) {
  if (!out.ends_with('{')) out += ',';
  append_token_text(out, token);
  out += ':';
  append_logprob(out, token.logprob);
}

void append_ranked(std::string& out, const TokenLogprob& token) {
  fmt::format_to(std::back_inserter(out), R"("{}":{{"logprob":)", token.token);
  append_logprob(out, token.logprob);
  fmt::format_to(std::back_inserter(out), R"(,"rank":{},"decoded_token":)", token.rank);
  append_token_text(out, token);
  out += '}';
}

}  // namespace

void append_logprob_list(std::string& out, const std::vector<GeneratedLogprob>& logprobs) {
  out += '[';
  for (std::size_t i = 0; i < logprobs.size(); ++i) {
    if (i > 0) out += ',';
    append_token(out, logprobs[i].chosen);
    out += R"(,"top_logprobs":[)";
    for (std::size_t k = 0; k < logprobs[i].top.size(); ++k) {
      if (k > 0) out += ',';
      append_token(out, logprobs[i].top[k]);
      out += '}';
    }
    out += "]}";
  }
  out += ']';
}

void append_chat_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs) {
  out += R"({"content":)";
  append_logprob_list(out, logprobs);
  out += R"(,"refusal":null})";
}

void append_completion_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs) {
  std::string tokens, values, top, offsets;
  for (std::size_t i = 0; i < logprobs.size(); ++i) {
    const TokenLogprob& chosen = logprobs[i].chosen;
    const char* comma = i > 0 ? "," : "";
    tokens += comma;
    append_token_text(tokens, chosen);
    values += comma;
    append_logprob(values, chosen.logprob);
    fmt::format_to(std::back_inserter(offsets), "{}{}", comma, logprobs[i].offset);
    top += comma;
    if (std::isnan(chosen.logprob)) {
      top += "null";
      continue;
    }
    top += '{';
    bool has_chosen = false;
    for (const TokenLogprob& token : logprobs[i].top) {
      append_top(top, token);
      has_chosen |= token.token == chosen.token;
    }
    // OpenAI's holds what was chosen, so that there may be one more than was asked for.
    if (!has_chosen && !logprobs[i].top.empty()) append_top(top, chosen);
    top += '}';
  }
  fmt::format_to(std::back_inserter(out),
                 R"({{"tokens":[{}],"token_logprobs":[{}],"top_logprobs":[{}],"text_offset":[{}]}})", tokens,
                 values, top, offsets);
}

void append_prompt_logprobs(std::string& out, const std::vector<GeneratedLogprob>& logprobs) {
  out += R"("prompt_logprobs":[)";
  for (std::size_t i = 0; i < logprobs.size(); ++i) {
    const GeneratedLogprob& one = logprobs[i];
    if (i > 0) out += ',';
    if (std::isnan(one.chosen.logprob)) {
      out += "null";
      continue;
    }
    out += '{';
    append_ranked(out, one.chosen);
    for (const TokenLogprob& token : one.top) {
      if (token.token == one.chosen.token) continue;
      out += ',';
      append_ranked(out, token);
    }
    out += '}';
  }
  out += ']';
}

}  // namespace autoglm::protocol::openai
