#pragma once

#include "base/result.h"
#include "journal/storage.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::journal {

/// What a room above has made of the records so far, so that a start needs to read only those after it. It
/// lies beside the segments in a file of its own, which the next one replaces: snapshots do not make a
/// journal grow, and retention does not touch them. The records stay the truth.
struct Snapshot {
  std::uint64_t next_sequence = 1;  ///< the first record that is not in it
  std::string state;
};

/// Replaces the file `name`: after a failure, or a loss of power, the old one is there, or the new one.
/// Blocks. Errors: the disk's.
Result<void> write_snapshot(Storage& storage, const std::string& name, const Snapshot& snapshot);

/// Blocks. Errors: kNotFound; kDataLoss when it is damaged; kUnimplemented when a newer program wrote it.
Result<Snapshot> read_snapshot(Storage& storage, const std::string& name);

}  // namespace autoglm::journal
