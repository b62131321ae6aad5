// How an HttpEndpoint is: its health, its kind, its load.
#include "gateway/endpoint/http_endpoint.h"
#include "gateway/protocol/vllm/load.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace autoglm::gateway {

namespace {

constexpr std::size_t kMaxPage = std::size_t{8} << 20U;

/// The sum of a metric's series in Prometheus' text, whose lines may end in a timestamp.
std::uint32_t metric(std::string_view text, std::string_view name) {
  constexpr double kMost = 1e9;  // sums of a few such numbers still fit in 32 bits
  double sum = 0;
  for (std::size_t at = 0; (at = text.find(name, at)) != std::string_view::npos; at += name.size()) {
    const char after = at + name.size() < text.size() ? text[at + name.size()] : '\0';
    if ((at > 0 && text[at - 1] != '\n') || (after != '{' && after != ' ')) continue;
    const std::string_view line = text.substr(at, text.find('\n', at) - at);
    const std::size_t labels_end = after == '{' ? line.rfind('}') : name.size();
    if (labels_end == std::string_view::npos) continue;
    sum += std::strtod(std::string(line.substr(labels_end + 1)).c_str(), nullptr);
  }
  return sum > 0 ? static_cast<std::uint32_t>(std::min(sum, kMost)) : 0;
}

}  // namespace

/// The page, whatever its status.
Task<Result<HttpEndpoint::Page>> HttpEndpoint::look_at(std::string path, Duration timeout) {
  http::ClientRequest request = to("GET", root_.below(path));
  request.reuse_time = Duration::zero();  // a check shows that a new connection can be made, and keeps none
  request.connect_timeout = std::min(request.connect_timeout, timeout);
  request.head_timeout = request.read_timeout = timeout;
  const Deadline deadline = Deadline::after(timeout);  // for the whole page, however slowly it comes
  auto response = co_await clients_.of_this_loop().send(std::move(request));
  if (!response) co_return fail(response.error());
  const int status = (*response)->status();
  if (auto readable = (*response)->unpack(); !readable) co_return fail(readable.error());
  auto body = co_await (*response)->read_all(kMaxPage, deadline);
  if (!body) co_return fail(body.error());
  co_return Page{.status = status, .body = std::move(*body)};
}

Task<Result<std::string>> HttpEndpoint::get(std::string path, Duration timeout) {
  auto page = co_await look_at(std::move(path), timeout);
  if (!page) co_return fail(page.error());
  if (page->status / 100 != 2) co_return fail(codec_->read_error(page->status, page->body, {}));
  co_return std::move(page->body);
}

/// An Open-AutoGLM server says so; vLLM has /version and SGLang /get_model_info, and both continue a chat's
/// last message. A server that has not answered stays unknown: only a 404 or its like says that there is no
/// such path.
Task<ServerKind> HttpEndpoint::find_out(Duration timeout) {
  const auto says = [](const Result<Page>& page, std::string_view text) {
    return page && page->status / 100 == 2 && page->body.find(text) != std::string::npos;
  };
  const auto version = co_await look_at("/version", timeout);
  if (says(version, R"("server":"open-autoglm")")) co_return ServerKind::kOurs;
  if (says(version, R"("version")")) co_return ServerKind::kContinuesChats;
  const auto model = co_await look_at("/get_model_info", timeout);
  if (says(model, R"("model_path")")) co_return ServerKind::kContinuesChats;
  const auto answered = [](const Result<Page>& page) {
    return page &&
           (page->status / 100 == 2 || page->status == 400 || page->status == 404 || page->status == 405);
  };
  co_return answered(version) && answered(model) ? ServerKind::kOther : ServerKind::kUnknown;
}

Task<Result<void>> HttpEndpoint::check(std::string path, Duration timeout) {
  auto checked = co_await ask_health(std::move(path), timeout);
  if (!checked) {
    // The next server at this address may be another one.
    if (checked.error().reason == "connect_failed") options_.kind->store(ServerKind::kUnknown);
    co_return checked;
  }
  if (kind() == ServerKind::kUnknown)
    options_.kind->store(codec_->has_kinds() ? co_await find_out(timeout) : ServerKind::kOther);
  co_return checked;
}

Task<Result<void>> HttpEndpoint::ask_health(std::string path, Duration timeout) {
  if (path == "/health") path = codec_->health_path();  // the setting's default
  if (path.empty()) {
    http::ClientRequest request = to("GET", "/");
    request.connect_timeout = std::min(request.connect_timeout, timeout);
    if (auto connected = co_await clients_.of_this_loop().probe(request); !connected)
      co_return fail(connected.error());
  } else {
    const auto page = co_await look_at(std::move(path), timeout);
    if (!page) co_return fail(page.error());
    // The 404 is about the configured path, not about a model.
    if (page->status == 404)
      co_return fail(Error{.code = ErrorCode::kNotFound,
                           .origin = Origin::kEndpoint,
                           .retry = Retry::kElsewhere,
                           .message = "the endpoint answered the health path with status 404"});
    if (page->status / 100 != 2) co_return fail(codec_->read_error(page->status, page->body, {}));
  }
  co_return Result<void>();
}

Task<Result<void>> HttpEndpoint::scrape_load(Duration timeout) {
  if (ours()) {
    const auto said = co_await get("/load", timeout);
    if (!said) co_return fail(said.error());
    auto load = protocol::vllm::read_load(*said);
    if (!load) co_return fail(load.error());
    running_.store(load->report.running);
    waiting_.store(load->report.waiting);
    prefixes_.set(std::move(load->prefixes));
    co_return Result<void>();
  }
  const protocol::LoadMetrics names = codec_->load_metrics();
  if (names.running.empty() && names.waiting.empty()) co_return Result<void>();
  auto text = co_await get("/metrics", timeout);
  if (!text) co_return fail(text.error());
  if (!names.running.empty()) running_.store(metric(*text, names.running));
  if (!names.waiting.empty()) waiting_.store(metric(*text, names.waiting));
  co_return Result<void>();
}

}  // namespace autoglm::gateway
