#include "gateway/front/grpc/services.h"

#include "base/utf8.h"
#include "gateway/front/http/health_routes.h"

#include <fmt/format.h>
#include <grpc/health/v1/health.pb.h>

#include <array>

namespace autoglm::gateway::grpc {

namespace {

namespace health = ::grpc::health::v1;
using Status = health::HealthCheckResponse::ServingStatus;

constexpr Duration kWatchPeriod = std::chrono::milliseconds(250);
constexpr std::size_t kMostName = 64;  // no service has a longer one
// "" is the whole server. The last two are what Kubernetes' probes ask for by `service`.
constexpr std::array<std::string_view, 5> kServices = {
    "", "openautoglm.v1.Inference", "inference.GRPCInferenceService", "readiness", "liveness"};

class HealthService {
 public:
  explicit HealthService(const ServiceParts& parts)
      : models_(parts.pipeline.models()), readiness_(parts.readiness) {}

  Status state_of(std::string_view service) const {
    if (std::ranges::find(kServices, service) == kServices.end())
      return health::HealthCheckResponse::SERVICE_UNKNOWN;
    return service == "liveness" || is_ready(models_, readiness_) ? health::HealthCheckResponse::SERVING
                                                                  : health::HealthCheckResponse::NOT_SERVING;
  }

  Task<Result<health::HealthCheckResponse>> check(health::HealthCheckRequest request) const {
    health::HealthCheckResponse response;
    response.set_status(state_of(request.service()));
    if (response.status() != health::HealthCheckResponse::SERVICE_UNKNOWN) co_return response;
    co_return fail(Error{
        .code = ErrorCode::kNotFound,
        .origin = Origin::kClient,
        .message = fmt::format("there is no service \"{}\"; List names all", excerpt(request.service(), 64)),
        .param = "service",
        .reason = "unknown_service"});
  }

  Task<Result<health::HealthListResponse>> list() const {
    health::HealthListResponse response;
    for (const std::string_view service : kServices)
      (*response.mutable_statuses())[std::string(service)].set_status(state_of(service));
    co_return response;
  }

  /// Ends with the process, since an open call would hold up the drain.
  Task<Result<void>> watch(Rpc& rpc) const {
    std::string service;
    {
      const auto request = co_await rpc.only_as<health::HealthCheckRequest>();
      if (!request) co_return fail(request.error());
      service = request->service().substr(0, kMostName);
    }
    rpc.let_go();  // a watch may last
    health::HealthCheckResponse response;
    bool told = false;
    while (true) {
      const Status state = state_of(service);
      if (!told || state != response.status()) {
        told = true;
        response.set_status(state);
        if (auto written = co_await rpc.write(response); !written) co_return written;
      }
      if (readiness_.draining()) co_return fail(shutting_down());
      co_await sleep_for(kWatchPeriod);
    }
  }

 private:
  const LiveDirectory& models_;
  const Readiness& readiness_;
};

}  // namespace

std::vector<Method> health_methods(const ServiceParts& parts) {
  const HealthService service(parts);
  auto check = unary<health::HealthCheckRequest, health::HealthCheckResponse>(
      "/grpc.health.v1.Health/Check",
      [service](health::HealthCheckRequest request, Rpc&) { return service.check(std::move(request)); });
  auto list = unary<health::HealthListRequest, health::HealthListResponse>(
      "/grpc.health.v1.Health/List",
      [service](const health::HealthListRequest&, Rpc&) { return service.list(); });
  Method watch{"/grpc.health.v1.Health/Watch", [service](Rpc& rpc) { return service.watch(rpc); }};
  std::vector<Method> methods;
  for (Method* method : {&check, &list, &watch}) {
    method->is_probe = true;
    methods.push_back(std::move(*method));
  }
  return methods;
}

}  // namespace autoglm::gateway::grpc
