#pragma once

#include "base/function_ref.h"
#include "base/result.h"
#include "gateway/admission/keys/stored_key.h"
#include "sqlite/database.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// Keys made at run time, in one SQLite file, of which several processes may be users at the same time. A
/// change is on the disk when its call returns, whatever ends the process then. All calls block; one thread
/// at a time.
///
/// Errors of all calls: kUnavailable when the file is locked, gone, or cannot be read or written now;
/// kDataLoss when it is damaged, or none of ours.
class KeyStore {
 public:
  static constexpr std::size_t kMostKeys = 100'000;  ///< revoked ones count: their names stay taken

  struct Options {
    std::string path;
    bool create = true;  ///< make the file where there is none; its folder must exist
    /// How long a lock of another process is waited for.
    std::chrono::milliseconds patience = std::chrono::seconds(5);
  };

  /// Opens the file and checks all of it. Errors: kNotFound without a file that may be made; what is wrong
  /// with the file, and what to do.
  static Result<KeyStore> open(Options options);

  /// Whether the keys may have changed since the last call of `all`, by this or another process.
  Result<bool> changed();
  /// All keys, by name, but for those that cannot be read.
  Result<std::vector<StoredKey>> all();
  /// The names of those: they are not in force, and their names stay taken.
  const std::vector<std::string>& unreadable() const { return unreadable_; }

  /// Makes a key with `wanted`'s name and rights. Errors: the reason "key_exists" for a name that was given
  /// before, kInvalidArgument for an `expires` that has passed.
  Result<MadeKey> create(const KeyConfig& wanted, WallTime now);
  /// Ends the key for good, if it has not ended. Errors: "unknown_key".
  Result<StoredKey> revoke(std::string_view name, WallTime now);
  /// Gives it another secret; the old one is good for `grace` more, and without one ends now, as does an
  /// older one. Errors: "unknown_key", "key_revoked", "key_expired"; "rotation_pending" for a `grace` while
  /// that of the last rotation runs, since what holders use then would end.
  Result<MadeKey> rotate(std::string_view name, Duration grace, WallTime now);

 private:
  /// Which file is open: another one may be put in its place.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const Identity&) const = default;
  };

  KeyStore(Options options, sqlite::Database database, Identity identity)
      : options_(std::move(options)), database_(std::move(database)), identity_(identity) {}
  static Result<Identity> identity_of(const std::string& path);
  static Result<KeyStore> open_file(Options options, bool is_new);
  /// Opens the file anew when another one is in its place. Errors: it is gone.
  Result<void> follow();
  Result<bool> has(std::string_view name);
  Result<std::optional<StoredKey>> find(std::string_view name);
  Result<void> write(const StoredKey& key);
  /// Does `work` in one transaction.
  Result<void> change(FunctionRef<Result<void>()> work);

  Options options_;
  sqlite::Database database_;
  Identity identity_;
  std::vector<std::string> unreadable_;  // of the last `all`
  std::int64_t seen_ = -1;               // the data version that `all` has read; -1: none
};

/// The error of a name that `where` has taken: HTTP's 409.
Error key_exists(std::string_view name, std::string_view where);
/// kNotFound, with the reason "unknown_key".
Error unknown_key(std::string_view name);

}  // namespace autoglm::gateway
