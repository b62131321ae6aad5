#pragma once

#include "cluster/registration/registrations.h"
#include "gateway/model_directory.h"
#include "http/client.h"

#include <memory>

namespace autoglm::app {

/// Enters this process into the registries of `register`: joins the models and the address that clients use
/// with `cluster::Registrations`. Main thread.
class SelfRegistration {
 public:
  struct Dependencies {
    const gateway::LiveDirectory& models;
    HostPort listen;  ///< with the port that was taken
    bool tls = false;
    BlockingPool& names;
    observe::MetricRegistry& metrics;
    observe::Logger& log;
  };

  explicit SelfRegistration(const Dependencies& dependencies);

  cluster::Registrations& registrations() { return registrations_; }

 private:
  Result<std::unique_ptr<cluster::Registrar>> registrar(const cluster::RegisterConfig& config);

  BlockingPool& names_;
  std::unique_ptr<http::Client> client_;  // of the control loop; null: no registry was ever configured
  cluster::Registrations registrations_;
};

}  // namespace autoglm::app
