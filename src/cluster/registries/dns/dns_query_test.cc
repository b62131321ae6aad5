#include "cluster/registries/dns/dns_query.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace autoglm::cluster {
namespace {

using namespace std::chrono_literals;

std::string number(unsigned value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i) & 255U);
  return text;
}

std::string name(std::string_view dotted) {
  std::string text;
  while (!dotted.empty()) {
    const std::string_view label = dotted.substr(0, dotted.find('.'));
    text += static_cast<char>(label.size());
    text += label;
    dotted.remove_prefix(std::min(dotted.size(), label.size() + 1));
  }
  return text + '\0';
}

/// An answer for the name "a.b" with records of a type, a time to live and data each.
struct Record {
  unsigned type;
  unsigned ttl;
  std::string data;
};
std::string answer(const std::vector<Record>& records) {
  std::string text = number(7, 2) + number(0x8180, 2) + number(1, 2) +
                     number(static_cast<unsigned>(records.size()), 2) + number(0, 4);
  text += name("a.b") + number(1, 2) + number(1, 2);
  for (const Record& each : records) {
    text += "\xc0\x0c" + number(each.type, 2) + number(1, 2) + number(each.ttl, 4);
    text += number(static_cast<unsigned>(each.data.size()), 2) + each.data;
  }
  return text;
}

Result<DnsAnswer> read(const std::string& message, const DnsConfig& config) {
  return read_dns_answer({reinterpret_cast<const unsigned char*>(message.data()), message.size()}, config);
}

constexpr unsigned kA = 1, kCname = 5, kAaaa = 28, kSrv = 33;
const DnsConfig kAddresses{.name = "a.b", .type = DnsType::kA, .port = 8000};
const DnsConfig kServices{.name = "a.b", .type = DnsType::kSrv};

TEST(DnsAnswer, SaysAddressesSortedAndTheShortestTime) {
  const auto read_one =
      read(answer({{kCname, 9, name("c.d")}, {kA, 30, "\x0a\x01\x01\x02"}, {kA, 60, "\x0a\x01\x01\x01"}}),
           kAddresses);
  ASSERT_TRUE(read_one);
  EXPECT_EQ(read_one->instances,
            (std::vector<Instance>{{.host = "10.1.1.1", .port = 8000}, {.host = "10.1.1.2", .port = 8000}}));
  EXPECT_EQ(read_one->time_to_live, 9s);
  DnsConfig six = kAddresses;
  six.type = DnsType::kAaaa;
  EXPECT_EQ(read(answer({{kAaaa, 1, std::string(15, '\0') + '\1'}}), six)->instances.at(0).host, "::1");
  EXPECT_EQ(read(answer({}), kAddresses)->instances.size(), 0U);
}

TEST(DnsAnswer, OfServicesTheBestPriorityCounts) {
  const auto service = [](unsigned priority, unsigned weight, unsigned port, std::string_view host) {
    return Record{kSrv, 5, number(priority, 2) + number(weight, 2) + number(port, 2) + name(host)};
  };
  const auto found =
      read(answer({service(10, 1, 80, "backup.x"), service(0, 0, 8001, "b.x"), service(0, 70, 8000, "a.x")}),
           kServices);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->instances, (std::vector<Instance>{{.host = "a.x", .port = 8000, .weight = 70},
                                                     {.host = "b.x", .port = 8001, .weight = 1}}));
  EXPECT_EQ(read(answer({service(0, 0, 0, "")}), kServices)->instances.size(), 0U)
      << "the service is not there";
}

TEST(DnsAnswer, BytesThatAreNoneAreRefused) {
  const std::string whole = answer(
      {{kA, 30, "\x0a\x01\x01\x02"}, {kSrv, 5, number(0, 2) + number(1, 2) + number(80, 2) + name("a.x")}});
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(read(whole.substr(0, size), kAddresses)) << size;
    EXPECT_FALSE(read(whole.substr(0, size), kServices)) << size;
  }
  EXPECT_FALSE(read(answer({{kA, 30, "\x0a"}}), kAddresses));
  EXPECT_FALSE(read(answer({{kSrv, 30, "\x0a"}}), kServices));
}

TEST(AskDns, AServerThatIsNotThereIsAnErrorAndNoEmptyAnswer) {
  DnsConfig config = kAddresses;
  config.server = "127.0.0.1:1";
  const auto asked = ask_dns(config);
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace autoglm::cluster
