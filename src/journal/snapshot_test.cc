#include "journal/snapshot.h"

#include "journal/testing/scratch_journal.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace autoglm::journal {
namespace {

class SnapshotTest : public ::testing::Test {
 protected:
  Result<void> write(std::uint64_t next, std::string state) {
    return write_snapshot(*storage_, "limits", {.next_sequence = next, .state = std::move(state)});
  }
  std::string state() const { return read_snapshot(*storage_, "limits").value().state; }
  std::string file() const { return folder_.path() + "/limits"; }

  ScratchFolder folder_;
  std::shared_ptr<DiskFaults> faults_ = std::make_shared<DiskFaults>();
  std::unique_ptr<Storage> storage_ = make_faulty(folder_.storage(), faults_);
};

TEST_F(SnapshotTest, IsReadAsItWasWritten) {
  EXPECT_EQ(read_snapshot(*storage_, "limits").error().code, ErrorCode::kNotFound);
  const std::string long_one((std::size_t{1} << 20U) + 7, 'x');
  for (const std::string& text : {std::string(), std::string("a\0b", 3), long_one}) {
    ASSERT_TRUE(write(1'000'000'000'007, text));
    const auto read = read_snapshot(*storage_, "limits");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->next_sequence, 1'000'000'000'007U);
    EXPECT_EQ(read->state, text);
  }
}

TEST_F(SnapshotTest, AFullDiskLeavesTheOldOne) {
  ASSERT_TRUE(write(5, "old"));
  faults_->set_free_bytes(30);
  EXPECT_FALSE(write(6, std::string(1000, 'n')));
  faults_->set_free_bytes(DiskFaults::kNoLimit);
  EXPECT_EQ(state(), "old");
  faults_->set_sync_fails(true);
  EXPECT_FALSE(write(6, "new"));
  faults_->set_sync_fails(false);
  EXPECT_EQ(state(), "old");
  EXPECT_EQ(storage_->list()->size(), 2U) << "this one and the lock: nothing half-written stays";
}

TEST_F(SnapshotTest, EachDamagedByteAndEachTornEndIsSeen) {
  ASSERT_TRUE(write(5, "state"));
  const std::string whole = storage_->read("limits").value();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
    std::ofstream(file(), std::ios::binary) << damaged;
    EXPECT_FALSE(read_snapshot(*storage_, "limits")) << at;
    std::ofstream(file(), std::ios::binary) << whole.substr(0, at);
    EXPECT_EQ(read_snapshot(*storage_, "limits").error().code, ErrorCode::kDataLoss) << at;
  }
}

}  // namespace
}  // namespace autoglm::journal
