#include "engine/models/model_format.h"

#include <gtest/gtest.h>

#include <string>

namespace autoglm::engine {
namespace {

std::string verdict(std::string_view bytes) {
  const auto checked = check_format(bytes, "X");
  return checked ? "" : checked.error().message;
}

TEST(ModelFormat, IsToldByTheFirstBytes) {
  EXPECT_EQ(verdict(std::string("GGUF\x03\0\0\0", 8)), "");
  EXPECT_NE(verdict("<!DOCTYPE html><html>").find("web page"), std::string::npos);
  EXPECT_NE(verdict("\n\n  <html lang=\"en\">").find("web page"), std::string::npos);
  EXPECT_NE(verdict("version https://git-lfs.github.com/spec/v1\noid sha256:").find("Git LFS"),
            std::string::npos);
  EXPECT_NE(verdict("{\"error\":\"x\"}").find("JSON"), std::string::npos);
  EXPECT_NE(verdict("PK\x03\x04....").find("PyTorch"), std::string::npos);
  EXPECT_NE(verdict(std::string("\x40\x10\0\0\0\0\0\0{\"x\":1}", 15)).find("safetensors"), std::string::npos);
  EXPECT_NE(verdict("lmgg....").find("old format"), std::string::npos);
  EXPECT_EQ(verdict("\x7f"
                    "ELF"),
            "X is not a GGUF model: it begins with \"\\x7fELF\", not with \"GGUF\"; give a .gguf file, or "
            "fetch it again if "
            "it should be one");
  EXPECT_EQ(verdict(""), "X is empty; fetch it again");
}

}  // namespace
}  // namespace autoglm::engine
