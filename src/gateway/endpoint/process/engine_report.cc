#include "gateway/endpoint/process/engine_report.h"

#include "base/json_string.h"
#include "gateway/protocol/json/value.h"
#include "gateway/protocol/vllm/load.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

namespace autoglm::gateway {

namespace {

using protocol::JsonValue;
using State = EndpointStatus::State;

constexpr double kAnything = std::numeric_limits<double>::max();

constexpr std::array kStates = {std::pair("loading", State::kLoading), std::pair("ready", State::kReady),
                                std::pair("failed", State::kFailed), std::pair("draining", State::kDraining)};

std::string_view to_string(State state) {
  for (const auto& [word, value] : kStates)
    if (value == state) return word;
  return "failed";
}

Result<void> read_state(const JsonValue& value, State& state) {
  const auto word = value.as_string();
  if (!word) return fail(word.error());
  for (const auto& [name, known] : kStates) {
    if (*word != name) continue;
    state = known;
    return {};
  }
  return fail(value.wrong("a state"));
}

Result<void> read_task(const JsonValue& value, ModelTask& task) {
  const auto word = value.as_string();
  if (!word) return fail(word.error());
  for (const ModelTask known : {ModelTask::kGenerate, ModelTask::kEmbed, ModelTask::kRank}) {
    if (*word != to_string(known)) continue;
    task = known;
    return {};
  }
  return fail(value.wrong("generate, embed or rank"));
}

template <class T, class Read>
Result<void> assign(Result<T> read, Read& target) {
  if (!read) return fail(read.error());
  target = static_cast<Read>(std::move(*read));
  return {};
}

/// {"temperature":[0.2,"catalogue"],…}
Result<void> read_sampling(const JsonValue& value, std::vector<SamplingDefault>& sampling) {
  return value.for_each_member([&](std::string_view name, const JsonValue& pair) -> Result<void> {
    SamplingDefault& number = sampling.emplace_back(std::string(name));
    return pair.for_each_item([&](const JsonValue& item) {
      return item.is_string() ? assign(item.as_string(), number.source)
                              : assign(item.as_number(-kAnything, kAnything), number.value);
    });
  });
}

Result<void> read_member(std::string_view key, const JsonValue& value, EngineReport& report,
                         std::string& load) {
  if (key == "state") return read_state(value, report.status.state);
  if (key == "progress") return assign(value.as_number(0, 1), report.status.progress);
  if (key == "detail") return assign(value.as_string(), report.status.detail);
  if (key == "context_length")
    return assign(value.as_integer(0, std::numeric_limits<std::uint32_t>::max()), report.context_length);
  if (key == "has_chat_template") return assign(value.as_bool(), report.has_chat_template);
  if (key == "task") return read_task(value, report.task);
  if (key == "sampling") return read_sampling(value, report.sampling);
  if (key == "system_message") return assign(value.as_string(), report.system_message);
  if (key == "load") load = value.as_json();
  return {};
}

}  // namespace

EngineReport EngineReport::of(const Endpoint& engine) {
  // The state first: the card is then no older, and that of a ready engine is complete.
  EndpointStatus status = engine.status();
  ModelCard card = engine.card();
  return {.status = std::move(status),
          .context_length = card.context_length,
          .has_chat_template = card.has_chat_template,
          .task = card.task,
          .sampling = std::move(card.sampling),
          .system_message = std::move(card.system_message),
          .load = engine.load(),
          .prefixes = engine.prefixes()};
}

bool EngineReport::same_as(const EngineReport& other) const {
  return status.state == other.status.state && status.progress == other.status.progress &&
         status.detail == other.status.detail && load == other.load && prefixes == other.prefixes;
}

std::string write_report(const EngineReport& report) {
  const protocol::vllm::ModelLoad load{.model = {}, .report = report.load, .prefixes = report.prefixes};
  std::string sampling;
  for (const SamplingDefault& number : report.sampling)
    sampling += fmt::format(R"({}"{}":[{},{}])", sampling.empty() ? "" : ",", number.name, number.value,
                            json_string(number.source));
  return fmt::format(
      R"({{"state":"{}","progress":{:.3f},"detail":{},"context_length":{},"has_chat_template":{},"task":"{}",)"
      R"("sampling":{{{}}},"system_message":{},"load":{}}})",
      to_string(report.status.state), report.status.progress, json_string(report.status.detail),
      report.context_length, report.has_chat_template, to_string(report.task), sampling,
      json_string(report.system_message), protocol::vllm::load_body({&load, 1}));
}

Result<EngineReport> read_report(std::string_view text) {
  EngineReport report;
  std::string load;  // a thread has one parser, so documents are read one after the other
  auto read = protocol::visit_json_object(text, [&](std::string_view key, const JsonValue& value) {
    return read_member(key, value, report, load);
  });
  if (!read) return fail(read.error());
  if (load.empty()) return report;
  auto loads = protocol::vllm::read_load(load);
  if (!loads) return fail(loads.error());
  report.load = loads->report;
  report.prefixes = std::move(loads->prefixes);
  return report;
}

}  // namespace autoglm::gateway
