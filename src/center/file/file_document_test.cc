#include "center/file/file_document.h"

#include "center/testing/kept_versions.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace autoglm::center {
namespace {

TEST(FileDocument, SaysWhatIsThereAndWhatBecomesOfIt) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("file-document-" + std::to_string(::getpid()));
  EventLoop loop;
  KeptVersions kept;
  run_task(loop, [](const std::filesystem::path& file, KeptVersions& out) -> Task<void> {
    FileDocument document({.path = file.string()});
    // One run through all: a file that is not there yet, that comes, and that changes.
    EXPECT_TRUE(co_await out.follow(document, [&file](const KeptVersions& each) {
      if (each.errors.size() == 1 && !std::filesystem::exists(file)) std::ofstream(file) << "a: 1";
      if (each.versions.size() == 1 && std::filesystem::file_size(file) == 4) std::ofstream(file) << "a: 12";
      return each.versions.size() == 2;
    }));
  }(path, kept));
  std::filesystem::remove(path);
  ASSERT_EQ(kept.versions.size(), 2U);
  EXPECT_EQ(kept.versions[0].text, "a: 1");
  EXPECT_EQ(kept.versions[1].text, "a: 12");
  EXPECT_EQ(kept.errors.size(), 1U) << "once";
  EXPECT_TRUE(kept.errors.at(0).message.contains("No such file")) << kept.errors.at(0).message;
}

}  // namespace
}  // namespace autoglm::center
