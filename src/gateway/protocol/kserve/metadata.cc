#include "gateway/protocol/kserve/metadata.h"

#include "base/json_string.h"
#include "gateway/protocol/kserve/request.h"

#include <fmt/format.h>

namespace autoglm::protocol::kserve {

std::string server_body(std::string_view version) {
  return fmt::format(
      R"({{"name":"open-autoglm","version":{},"extensions":["binary_tensor_data","generate"]}})",
      json_string(version));
}

std::string model_body(std::string_view model) {
  return fmt::format(R"({{"name":{},"versions":["{}"],"platform":"open-autoglm","inputs":[)"
                     R"({{"name":"text_input","datatype":"BYTES","shape":[-1]}},)"
                     R"({{"name":"sampling_parameters","datatype":"BYTES","shape":[1]}},)"
                     R"({{"name":"exclude_input_in_output","datatype":"BOOL","shape":[1]}},)"
                     R"({{"name":"return_finish_reason","datatype":"BOOL","shape":[1]}},)"
                     R"({{"name":"return_num_input_tokens","datatype":"BOOL","shape":[1]}},)"
                     R"({{"name":"return_num_output_tokens","datatype":"BOOL","shape":[1]}}],"outputs":[)"
                     R"({{"name":"text_output","datatype":"BYTES","shape":[-1]}},)"
                     R"({{"name":"finish_reason","datatype":"BYTES","shape":[-1]}},)"
                     R"({{"name":"num_input_tokens","datatype":"UINT32","shape":[1]}},)"
                     R"({{"name":"num_output_tokens","datatype":"UINT32","shape":[-1]}},)"
                     R"({{"name":"embedding","datatype":"FP32","shape":[-1,-1]}}]}})",
                     json_string(model), kVersion);
}

std::string ready_body(std::string_view model) {
  return fmt::format(R"({{"name":{},"ready":true}})", json_string(model));
}

}  // namespace autoglm::protocol::kserve
