#include "gateway/front/grpc/served_files.h"

#include <gtest/gtest.h>
#include <openautoglm/internal/descriptors.pb.h>

namespace autoglm {

std::string_view served_descriptors();

}  // namespace autoglm

namespace autoglm::gateway::grpc {
namespace {

std::string name_of(std::string_view file) {
  ::openautoglm::internal::File read;
  EXPECT_TRUE(read.ParseFromArray(file.data(), static_cast<int>(file.size())));
  return read.name();
}

TEST(ServedFiles, HaveAllServices) {
  EXPECT_EQ(ServedFiles(served_descriptors()).services(),
            (std::vector<std::string>{
                "openautoglm.v1.Inference", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection", "inference.GRPCInferenceService"}));
}

TEST(ServedFiles, AreFoundByNameAndByWhatTheyDeclare) {
  const ServedFiles files(served_descriptors());
  const std::string ours = "openautoglm/v1/inference.proto";
  EXPECT_EQ(name_of(files.by_name(ours)), ours);
  for (const char* symbol : {"openautoglm.v1.Inference", "openautoglm.v1.Inference.Chat",
                             "openautoglm.v1.ChatRequest", "openautoglm.v1.FinishReason"})
    EXPECT_EQ(name_of(files.by_symbol(symbol)), ours) << symbol;
  EXPECT_EQ(name_of(files.by_symbol("inference.ModelInferRequest.InferInputTensor")),
            "inference/grpc_predict_v2.proto");
  EXPECT_EQ(name_of(files.by_symbol("google.rpc.BadRequest")), "google/rpc/status.proto");  // of errors
  EXPECT_EQ(name_of(files.by_symbol("grpc.health.v1.HealthCheckResponse.ServingStatus")),
            "grpc/health/v1/health.proto");
}

TEST(ServedFiles, DoNotHaveOthers) {
  const ServedFiles files(served_descriptors());
  EXPECT_TRUE(files.by_name("openautoglm/internal/descriptors.proto").empty());
  EXPECT_TRUE(files.by_symbol("openautoglm.v1.Nothing").empty());
  EXPECT_TRUE(files.by_symbol("").empty());
}

}  // namespace
}  // namespace autoglm::gateway::grpc
