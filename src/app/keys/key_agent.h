#pragma once

#include "app/operator/admin_client.h"
#include "base/result.h"
#include "gateway/admission/keys/key_store.h"

#include <memory>
#include <string>

namespace autoglm::app {

/// Does what the command asks, and answers as the admin address does, in JSON. Blocks.
class KeyAgent {
 public:
  virtual ~KeyAgent() = default;

  virtual Result<std::string> create(const std::string& body) = 0;
  virtual Result<std::string> list() = 0;
  virtual Result<std::string> show(const std::string& name) = 0;
  virtual Result<std::string> revoke(const std::string& name) = 0;
  virtual Result<std::string> rotate(const std::string& name, const std::string& body) = 0;
};

/// A running server's admin address. Errors: kUnavailable with the reason "connect_failed" when none answers;
/// the server's own.
std::unique_ptr<KeyAgent> make_remote_agent(AdminClient client);

/// The store's file. It is made for the first key only, if it `may_create`. Errors: those of KeyStore.
Result<std::unique_ptr<KeyAgent>> make_file_agent(const std::string& path, bool may_create);

}  // namespace autoglm::app
