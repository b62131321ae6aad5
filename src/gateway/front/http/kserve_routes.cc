#include "gateway/front/http/kserve_routes.h"

#include "gateway/front/http/caller.h"
#include "gateway/front/http/health_routes.h"
#include "gateway/front/http/http_sink.h"
#include "gateway/front/http/path_pattern.h"
#include "gateway/protocol/kserve/generate_codec.h"
#include "gateway/protocol/kserve/infer_codec.h"
#include "gateway/protocol/kserve/metadata.h"
#include "gateway/protocol/kserve/request.h"

#include <fmt/format.h>

#include <charconv>
#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

namespace kserve = protocol::kserve;
using http::Request;
using http::ResponseWriter;

constexpr std::string_view kModelPath = "/v2/models/{model}";
constexpr std::string_view kReady = "/v2/models/{model}/ready";
constexpr std::string_view kInfer = "/v2/models/{model}/infer";
constexpr std::string_view kGenerate = "/v2/models/{model}/generate";
constexpr std::string_view kGenerateStream = "/v2/models/{model}/generate_stream";
constexpr std::string_view kGenerateExample =
    " -H 'Content-Type: application/json' -d '{\"text_input\": \"Hello\"}'";

/// The model's name in a path that matches `pattern`: `{model}` is a name, or NAME/versions/1. Errors:
/// kNotFound, of another version.
Result<std::string> model_in(std::string_view pattern, std::string_view path) {
  constexpr std::string_view kVersions = "/versions/";
  std::string_view name = PathPattern(pattern).placed(path);
  if (const std::size_t at = name.rfind(kVersions); at != std::string_view::npos) {
    const std::string_view version = name.substr(at + kVersions.size());
    name = name.substr(0, at);
    if (version != kserve::kVersion) {
      return fail(
          Error{.code = ErrorCode::kNotFound,
                .origin = Origin::kClient,
                .message = fmt::format("models have the version {} here, and no other", kserve::kVersion),
                .reason = "version_not_found"});
    }
  }
  return http::percent_decode(name).value_or(std::string(name));
}

// By value: the task outlives its caller's temporaries.
Task<void> say_kserve(ResponseWriter& response, RequestRecord& record, Error error) {
  co_await send_error(response, error, record, kserve::error_body(error));
}

/// An answer with tensors behind its JSON says how long the JSON is.
class TensorSink final : public AnswerSink {
 public:
  TensorSink(HttpSink& inner, ResponseWriter& response, const std::size_t& json_size)
      : inner_(inner), response_(response), json_size_(json_size) {}

  void tell_origin(const Pipeline::Answer& answer, bool streamed) override {
    inner_.tell_origin(answer, streamed);
  }
  Task<Result<void>> send(std::string_view content_type, std::string_view body) override {
    if (json_size_ > 0) response_.add_header("Inference-Header-Content-Length", std::to_string(json_size_));
    return inner_.send(content_type, body);
  }
  Task<void> refuse(const Error& error, std::string body) override {
    return inner_.refuse(error, std::move(body));
  }
  Task<Result<void>> begin(std::string_view content_type) override { return inner_.begin(content_type); }
  bool begun() const override { return inner_.begun(); }
  Task<Result<void>> write(std::string_view bytes) override { return inner_.write(bytes); }
  Task<Result<void>> finish() override { return inner_.finish(); }

 private:
  HttpSink& inner_;
  ResponseWriter& response_;
  const std::size_t& json_size_;
};

/// Absent: the body is JSON alone.
Result<std::optional<std::size_t>> json_size_of(const Request& request) {
  const auto text = request.headers.find("inference-header-content-length");
  if (!text) return std::nullopt;
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), size);
  if (error == std::errc() && end == text->data() + text->size()) return size;
  return fail(invalid_field("Inference-Header-Content-Length",
                            "Inference-Header-Content-Length must be the number of bytes of the JSON"));
}

Task<void> infer(const Pipeline& pipeline, const GenerationSettings& settings, Request& request,
                 ResponseWriter& response, RequestRecord& record) {
  auto model = model_in(kInfer, request.path);
  const auto json_size = json_size_of(request);
  if (!model || !json_size) {
    co_await say_kserve(response, record, model ? json_size.error() : model.error());
    co_return;
  }
  const auto answer_json_size = std::make_shared<std::size_t>(0);
  HttpSink inner(request, response, record);
  TensorSink sink(inner, response, *answer_json_size);
  GenerationCall call(pipeline, settings, sink, record);
  co_await call.run(std::make_shared<kserve::InferCodec>(std::move(*model), *json_size, answer_json_size),
                    incoming_call(request, record));
}

Task<void> generate(const Pipeline& pipeline, const GenerationSettings& settings, bool streams,
                    Request& request, ResponseWriter& response, RequestRecord& record) {
  auto model = model_in(streams ? kGenerateStream : kGenerate, request.path);
  if (!model) {
    co_await say_kserve(response, record, model.error());
    co_return;
  }
  HttpSink sink(request, response, record);
  GenerationCall call(pipeline, settings, sink, record);
  co_await call.run(std::make_shared<kserve::GenerateCodec>(std::move(*model), streams),
                    incoming_call(request, record));
}

Task<void> describe(const Pipeline& pipeline, const Request& request, ResponseWriter& response,
                    RequestRecord& record) {
  const auto name = model_in(kModelPath, request.path);
  const auto card = name ? pipeline.card(*name, record.caller.get()) : Result<ModelCard>(fail(name.error()));
  if (!card) {
    co_await say_kserve(response, record, card.error());
  } else {
    co_await send_json(response, record, kserve::model_body(card->name));
  }
}

Error not_ready(const std::string& name) {
  return Error{.code = ErrorCode::kUnavailable,
               .retry = Retry::kLater,
               .message = fmt::format("the model \"{}\" is not ready", name),
               .reason = "model_not_ready"};
}

Task<void> tell_ready(const Pipeline& pipeline, const Request& request, ResponseWriter& response,
                      RequestRecord& record) {
  const auto name = model_in(kReady, request.path);
  const auto models = pipeline.models().now();
  const auto found = name ? models->find(*name, record.caller.get())
                          : Result<const ModelDirectory::Entry*>(fail(name.error()));
  if (!found) {
    co_await say_kserve(response, record, found.error());
  } else if ((*found)->endpoint->status().state != EndpointStatus::State::kReady) {
    co_await say_kserve(response, record, not_ready(*name));
  } else {
    co_await send_json(response, record, kserve::ready_body(*name));
  }
}

Task<void> tell_health(const LiveDirectory& models, const Readiness& readiness, ResponseWriter& response,
                       RequestRecord& record) {
  const auto [status, text] = health(models, readiness);
  if (status == 200) {
    co_await send_json(response, record, R"({"ready":true})");
  } else {
    co_await say_kserve(response, record,
                        Error{.code = ErrorCode::kUnavailable,
                              .retry = Retry::kLater,
                              .message = "this server is not ready; GET /health says why",
                              .reason = "not_ready"});
  }
}

Route route(std::string_view summary, std::string_view method, std::string_view path,
            std::string_view example,
            std::function<Task<void>(Request&, ResponseWriter&, RequestRecord&)> answer) {
  return {.method = method,
          .path = path,
          .example = example,
          .answer = std::move(answer),
          .error_body = kserve::error_body,
          .summary = summary};
}

}  // namespace

std::vector<Route> kserve_routes(const Pipeline& pipeline, const Readiness& readiness,
                                 const std::shared_ptr<const GenerationSettings>& settings,
                                 std::string version) {
  const auto generation = [&pipeline, settings](bool streams) {
    return [&pipeline, settings, streams](Request& request, ResponseWriter& response, RequestRecord& record) {
      return generate(pipeline, *settings, streams, request, response, record);
    };
  };
  return {
      route("Tensors in, tensors out", "POST", kInfer,
            " -H 'Content-Type: application/json' -d '{\"inputs\": [{\"name\": \"text_input\", \"datatype\": "
            "\"BYTES\", \"shape\": [1], \"data\": [\"Hello\"]}]}'",
            [&pipeline, settings](Request& request, ResponseWriter& response, RequestRecord& record) {
              return infer(pipeline, *settings, request, response, record);
            }),
      route("A text in, a text out", "POST", kGenerate, kGenerateExample, generation(false)),
      route("A text in, a text out piece by piece", "POST", kGenerateStream, kGenerateExample,
            generation(true)),
      route("Whether a model is ready", "GET", kReady, "",
            [&pipeline](Request& request, ResponseWriter& response, RequestRecord& record) {
              return tell_ready(pipeline, request, response, record);
            }),
      route("A model and its tensors", "GET", kModelPath, "",
            [&pipeline](Request& request, ResponseWriter& response, RequestRecord& record) {
              return describe(pipeline, request, response, record);
            }),
      opened(route("Whether the server runs", "GET", "/v2/health/live", "",
                   [](Request&, ResponseWriter& response, RequestRecord& record) {
                     return send_json(response, record, R"({"live":true})");
                   })),
      opened(route("Whether the server is ready", "GET", "/v2/health/ready", "",
                   [&pipeline, &readiness](Request&, ResponseWriter& response, RequestRecord& record) {
                     return tell_health(pipeline.models(), readiness, response, record);
                   })),
      route("The server and its extensions", "GET", "/v2", "",
            [version = std::move(version)](Request&, ResponseWriter& response, RequestRecord& record) {
              return send_json(response, record, kserve::server_body(version));
            }),
  };
}

}  // namespace autoglm::gateway
