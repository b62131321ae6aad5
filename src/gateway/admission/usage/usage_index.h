#pragma once

#include "base/result.h"
#include "gateway/admission/usage/usage_query.h"
#include "journal/journal.h"
#include "observe/log/logger.h"
#include "sqlite/database.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace autoglm::gateway {

/// Sums of usage by hour, key, tenant and model in an SQLite file: what the journal's records add up to. The
/// journal is the truth. The position up to which it was read is written in the same transaction as the sums,
/// so each record counts once; an index that is damaged or gone is built anew. One that does not go with the
/// journal is, too, but keeps what is older than the journal's records. It has hours for two months, days for
/// three years, also when the journal's retention is shorter.
///
/// Records are written to it only when they survive a loss of power, since the numbers of others may be given
/// again; a query adds what is missing from the journal itself. Every call blocks. Not thread-safe. The
/// journal and the logger outlive it.
class UsageIndex {
 public:
  struct Options {
    std::string path;  ///< of the file
    Day::duration hours_kept = std::chrono::days(62);
    Day::duration days_kept = std::chrono::days(3 * 366);
    std::size_t most_rows = 100'000;  ///< of an answer
    WallClock now = std::chrono::system_clock::now;
  };

  UsageIndex(Options options, const journal::Journal& journal, observe::Logger& logger)
      : options_(std::move(options)), journal_(journal), logger_(logger) {}

  /// Reads on until all is there; with `stop`, some 200,000 records at most. Errors: the disk's; what is
  /// there stays, and the next call goes on.
  Result<void> update(const std::atomic<bool>& stop);
  /// All that the journal has at this moment, in the order of hour or day, key, tenant, model. Errors: the
  /// disk's; kInvalidArgument when the answer is too long.
  Result<std::vector<UsageRow>> query(const UsageQuery& query);

  /// The first record that is not in the file; 0: not yet known.
  std::uint64_t position() const { return position_; }

 private:
  using Names = std::tuple<std::int64_t, std::string, std::string, std::string>;  // hour, key, tenant, model
  using Sums = std::map<Names, UsageSums>;

  Result<void> ensure_open();
  Result<void> open();
  Result<bool> is_of_this_journal();
  Result<void> begin_anew();
  Result<void> add(const Sums& sums, std::uint64_t next);
  Result<void> condense(Day today);
  Result<void> checked(Result<void> done);

  const Options options_;
  const journal::Journal& journal_;
  observe::Logger& logger_;
  std::optional<sqlite::Database> database_;
  std::uint64_t position_ = 0;
  std::uint32_t last_sum_ = 0;  // of the record before `position_`
  Day condensed_{};
};

}  // namespace autoglm::gateway
