#pragma once

#include "cluster/registries/etcd/etcd_messages.h"
#include "cluster/registries/etcd/etcd_session.h"

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace autoglm::cluster {

/// The keys of a range of etcd and what stands there: all are read at one revision, and a watch from the next
/// one on tells of changes. A watch that ends, whose revision was compacted, or that was silent for long,
/// begins anew with a read. Control loop only.
class EtcdWatch {
 public:
  using Values = std::map<std::string, EtcdValue>;  ///< by key; each has a value

  EtcdWatch(std::unique_ptr<EtcdSession> session, EtcdKeys keys)
      : session_(std::move(session)), keys_(std::move(keys)) {}

  /// Tells all that is there, again with every change and now and then without one, for as long as the task
  /// lives; and why etcd cannot be asked, before it tries again. Called once.
  Task<void> run(std::function<void(const Values&)> tell, std::function<void(const Error&)> fails);

 private:
  Task<Result<void>> follow(const std::function<void(const Values&)>& tell);
  Result<bool> take(std::string& buffer);

  const std::unique_ptr<EtcdSession> session_;
  const EtcdKeys keys_;
  Values values_;
};

}  // namespace autoglm::cluster
