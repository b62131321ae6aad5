#pragma once

#include "engine/models/hub_client.h"
#include "engine/models/partial_file.h"
#include "engine/models/puller.h"

#include <cstdint>
#include <filesystem>

namespace autoglm::engine {

/// Fetches one file in several attempts, each resuming where the last one broke off, until the file is
/// complete and verified. Belongs to one loop, which it blocks while it writes.
class FileTransfer {
 public:
  struct Dependencies {
    HubClient& client;
    const HubSettings& settings;
    const PullHooks& hooks;
    const RetryPolicy& retries;
    std::uint64_t& done;  ///< bytes of the file that have arrived, for progress reports
  };

  FileTransfer(const ModelName& name, ListedFile file, std::filesystem::path target,
               Dependencies dependencies)
      : name_(name), file_(std::move(file)), target_(std::move(target)), to_(dependencies) {}

  Task<Result<void>> run();

 private:
  /// The outcome of an attempt; `again` after an error that may pass.
  struct Attempt {
    Result<void> outcome;
    bool again = false;
    std::optional<std::chrono::seconds> retry_after{};
  };
  Task<Attempt> attempt(PartialFile& partial);
  Task<Attempt> receive(PartialFile& partial, http::ClientResponse& response);
  Result<bool> prepare(PartialFile& partial, const HubClient::Answer& answer, const Verdict& verdict);
  Result<void> check_beginning(PartialFile& partial, std::string_view bytes);
  Result<void> check_room(const PartialFile& partial) const;
  Task<Result<void>> read_what_is_there(PartialFile& partial);
  Result<void> verify(PartialFile& partial);

  const ModelName& name_;
  ListedFile file_;
  std::filesystem::path target_;
  Dependencies to_;
};

}  // namespace autoglm::engine
