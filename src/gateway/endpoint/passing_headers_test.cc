#include "gateway/endpoint/passing_headers.h"

#include <gtest/gtest.h>

namespace autoglm::gateway {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

TEST(PassingHeaders, AreAllButThoseOfTheConnectionAndOurOwn) {
  const Fields fields = {{"Connection", "close, X-Hop"},
                         {"X-Hop", "1"},
                         {"Transfer-Encoding", "chunked"},
                         {"Keep-Alive", "5"},
                         {"Content-Type", "text/html"},
                         {"Content-Encoding", "gzip"},
                         {"Date", "today"},
                         {"X-Autoglm-Endpoint", "e"},
                         {"Access-Control-Allow-Origin", "*"},
                         {"access-control-allow-credentials", "true"},
                         {"x-ratelimit-remaining-requests", "7"},
                         {"OpenAI-Processing-Ms", "12"},
                         {"Set-Cookie", "a=b"},
                         {"set-cookie", "c=d"}};
  http::HeaderView headers;
  for (const auto& [name, value] : fields) headers.add(name, value);
  EXPECT_EQ(passing_headers(headers), (Fields{{"x-ratelimit-remaining-requests", "7"},
                                              {"OpenAI-Processing-Ms", "12"},
                                              {"Set-Cookie", "a=b"},
                                              {"set-cookie", "c=d"}}));
}

}  // namespace
}  // namespace autoglm::gateway
