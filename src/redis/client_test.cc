#include "redis/client.h"

#include "redis/testing/fake_redis.h"
#include "runtime/testing/for_turns.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>

#include <optional>

namespace autoglm::redis {
namespace {

using namespace std::chrono_literals;

using Words = FakeRedis::Words;
const Script kScript = Script::of("return 1");
const char* const kHello = "*2\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n";
const char* const kOk = "+OK\r\n";

/// Answers hellos, and everything else by `answer`.
FakeRedis::Answer greeting(FakeRedis::Answer answer) {
  return [answer = std::move(answer)](const Words& words) -> std::optional<std::string> {
    if (words.front() == "HELLO") return kHello;
    if (words.front() == "PING") return "+PONG\r\n";
    return answer(words);
  };
}

std::string error(const std::string& text) { return "-" + text + "\r\n"; }

/// A client, and what it was told.
struct Subject {
  explicit Subject(BlockingPool& names, Options wanted)
      : options(std::move(wanted)), client(names, options, [this](bool up, std::string_view why) {
          is_up = up;
          changes.emplace_back(why);
        }) {}

  Options options;
  bool is_up = false;
  std::vector<std::string> changes;
  std::vector<std::string> heard;
  Client client;

  bool call(const std::string& key = "k") {
    return client.run(kScript, std::vector<std::string>{key}, std::vector<std::string>{"x"},
                      [this](const Result<Reply>& reply) { heard.push_back(reply ? reply->text : "lost"); });
  }
};

Task<void> until(std::function<bool()> condition) {
  for (int i = 0; i < 10'000; ++i) {
    if (condition()) co_return;
    co_await sleep_for(1ms);
  }
  ADD_FAILURE() << "it did not happen";
}

class RedisClientTest : public ::testing::Test {
 protected:
  template <class Body>
  void run(Body body) {
    run_task(loop_, [](BlockingPool& pool, Body inner) -> Task<void> { co_await inner(pool); }(pool_, body));
  }

  static Options options(const HostPort& address) {
    return {.address = address, .timeout = 1s, .connect_timeout = 5s, .stall = 50ms};
  }

  EventLoop loop_;
  BlockingPool pool_{1, 8};
};

TEST_F(RedisClientTest, SendsAScriptByItsDigestAndWholeWhereItIsUnknown) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis server(greeting([](const Words& words) -> std::optional<std::string> {
      return words.front() == "EVALSHA" ? error("NOSCRIPT No matching script.") : kOk;
    }));
    Subject subject(pool, options(server.address()));
    EXPECT_FALSE(subject.call()) << "not connected yet";
    co_await until([&] { return subject.is_up; });
    EXPECT_TRUE(subject.call());
    co_await until([&] { return !subject.heard.empty(); });
    EXPECT_EQ(subject.heard, std::vector<std::string>{"OK"});
    const auto& heard = server.heard();
    EXPECT_EQ(heard.at(1), (Words{"EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "1", "k", "x"}));
    EXPECT_EQ(heard.at(2), (Words{"EVAL", "return 1", "1", "k", "x"}));
  });
}

TEST_F(RedisClientTest, SaysWhoItIs) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis server(greeting([](const Words&) { return kOk; }));
    Options wanted = options(server.address());
    wanted.username = "gate";
    wanted.password = "secret";
    Subject subject(pool, wanted);
    co_await until([&] { return subject.is_up; });
    EXPECT_EQ(server.heard().at(0), (Words{"HELLO", "2", "AUTH", "gate", "secret"}));
  });
}

TEST_F(RedisClientTest, FallsBackToAuthWhereThereIsNoHello) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis server([](const Words& words) -> std::optional<std::string> {
      return words.front() == "HELLO" ? error("ERR unknown command `HELLO`") : kOk;
    });
    Options wanted = options(server.address());
    wanted.password = "secret";
    Subject subject(pool, wanted);
    co_await until([&] { return subject.is_up; });
    EXPECT_EQ(server.heard().at(1), (Words{"AUTH", "secret"}));
  });
}

TEST_F(RedisClientTest, SaysWhyItIsNotLetIn) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis server([](const Words&) { return error("WRONGPASS invalid username-password pair"); });
    Subject subject(pool, options(server.address()));
    co_await until([&] { return !subject.changes.empty(); });
    EXPECT_FALSE(subject.is_up);
    EXPECT_NE(subject.changes.at(0).find("WRONGPASS"), std::string::npos);
    EXPECT_FALSE(subject.call());
  });
}

TEST_F(RedisClientTest, ALateReplyStillComesAndOthersAreNotAskedMeanwhile) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis server(greeting([](const Words&) { return std::nullopt; }));
    Options wanted = options(server.address());
    wanted.stall = 1h;
    Subject subject(pool, wanted);
    co_await until([&] { return subject.is_up; });
    EXPECT_TRUE(subject.call());
    co_await until([&] { return server.count("EVALSHA") == 1; });
    server.answer_by([](const Words&) { return std::nullopt; });  // frozen, PINGs included
    subject.client.doubt("k");
    EXPECT_FALSE(subject.call()) << "a server in doubt is not asked";
    co_await until([&] { return server.count("PING") == 1; });
    co_await server.say("+late\r\n+PONG\r\n");
    co_await until([&] { return !subject.heard.empty(); });
    EXPECT_EQ(subject.heard, std::vector<std::string>{"late"});
    co_await until([&] { return subject.call(); });
    EXPECT_EQ(server.connections(), 1U);
  });
}

TEST_F(RedisClientTest, AFrozenServerCostsItsConnectionAndIsFoundAgain) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis server(greeting([](const Words&) { return std::nullopt; }));
    Subject subject(pool, options(server.address()));
    co_await until([&] { return subject.is_up; });
    EXPECT_TRUE(subject.call());
    co_await until([&] { return server.count("EVALSHA") == 1; });
    server.answer_by([](const Words&) { return std::nullopt; });
    subject.client.doubt("k");
    co_await until([&] { return !subject.is_up; });
    EXPECT_EQ(subject.heard, std::vector<std::string>{"lost"});
    server.answer_by(greeting([](const Words&) { return kOk; }));
    co_await until([&] { return subject.is_up && subject.call(); });
    co_await until([&] { return subject.heard.size() > 1; });
    EXPECT_EQ(subject.heard.at(1), "OK");
    EXPECT_EQ(server.connections(), 2U);
  });
}

TEST_F(RedisClientTest, AsksSentinelsForTheMasterAndFollowsAFailover) {
  run([](BlockingPool& pool) -> Task<void> {
    std::string role = "master";
    const auto node = [](std::string name, const std::string& its_role) {
      return greeting([name = std::move(name), &its_role](const Words& words) -> std::optional<std::string> {
        if (words.front() == "ROLE") return "*1\r\n+" + its_role + "\r\n";
        return "+" + name + "\r\n";
      });
    };
    const std::string always = "master";
    FakeRedis first(node("first", role)), second(node("second", always));
    FakeRedis* named = &first;
    FakeRedis sentinel([&named](const Words& words) -> std::optional<std::string> {
      if (words.size() != 3 || words[2] != "main") return error("ERR no");
      const std::string port = std::to_string(named->address().port);
      return "*2\r\n$9\r\n127.0.0.1\r\n$" + std::to_string(port.size()) + "\r\n" + port + "\r\n";
    });
    FakeRedis gone([](const Words&) { return error("ERR no"); });
    Options wanted = options({"", 1});
    wanted.sentinels = {gone.address(), sentinel.address()};
    wanted.master = "main";
    Subject subject(pool, wanted);
    co_await until([&] { return subject.is_up && subject.call(); });
    co_await until([&] { return !subject.heard.empty(); });
    EXPECT_EQ(subject.heard, std::vector<std::string>{"first"});
    // It has become a replica, which its own words show before the sentinels know.
    role = "slave";
    first.answer_by(greeting([](const Words& words) -> std::optional<std::string> {
      return words.front() == "ROLE" ? "*1\r\n+slave\r\n" : error("READONLY You can't write");
    }));
    EXPECT_TRUE(subject.call());
    co_await until([&] { return !subject.is_up; });
    const std::size_t asked = first.count("ROLE");
    co_await until([&] { return first.count("ROLE") > asked; });
    co_await turns(50);
    EXPECT_FALSE(subject.is_up) << "the sentinels still name it, and it says itself that it is none";
    named = &second;
    co_await until([&] { return subject.is_up && subject.call(); });
    co_await until([&] { return subject.heard.size() == 3; });
    EXPECT_EQ(subject.heard.at(2), "second");
  });
}

TEST_F(RedisClientTest, FollowsAClusterToTheNodeThatHasTheSlot) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis second(greeting([](const Words& words) -> std::optional<std::string> {
      return words.front() == "ASKING" ? "+ASKED\r\n" : "+second\r\n";
    }));
    const std::string target = second.address().to_string();
    std::string word = "ASK";
    FakeRedis first(greeting([&](const Words& words) -> std::optional<std::string> {
      return error(word + " " + std::to_string(slot_of(words.at(3))) + " " + target);
    }));
    Subject subject(pool, options(first.address()));
    co_await until([&] { return subject.is_up && subject.call(); });
    // The first ones find no connection to the second node yet.
    co_await until(
        [&] { return (subject.heard.empty() || subject.heard.back() == "lost") ? !subject.call() : true; });
    EXPECT_TRUE(subject.client.is_cluster());
    co_await until([&] { return second.count("ASKING") > 0 && second.count("EVALSHA") > 0; });
    EXPECT_EQ(second.count("ASKING"), second.count("EVALSHA"));
    word = "MOVED";
    const std::size_t asked = second.count("ASKING");
    EXPECT_TRUE(subject.call());
    co_await until(
        [&] { return first.count("EVALSHA") == second.count("EVALSHA") || second.count("ASKING") == asked; });
    co_await turns(200);
    const std::size_t of_first = first.count("EVALSHA");
    EXPECT_TRUE(subject.call());
    const std::size_t before = subject.heard.size();
    co_await until([&] { return subject.heard.size() > before; });
    EXPECT_EQ(subject.heard.back(), "second");
    EXPECT_EQ(first.count("EVALSHA"), of_first) << "the slot is known now";
    EXPECT_EQ(second.count("ASKING"), asked);
    second.hang_up();
    co_await until(
        [&] { return subject.call() && first.count("EVALSHA") > of_first; });  // another may have it
  });
}

TEST_F(RedisClientTest, AServerThatIsAlwaysLateStaysInDoubt) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis server(greeting([](const Words&) { return kOk; }));
    Options wanted = options(server.address());
    wanted.timeout = Duration::zero();
    wanted.stall = 1h;
    Subject subject(pool, wanted);
    co_await until([&] { return subject.is_up; });
    subject.client.doubt("k");
    co_await until([&] { return !subject.is_up; });
    EXPECT_EQ(subject.changes.back(), "answers too late");
    co_await until([&] { return server.count("PING") > 2; });
    EXPECT_FALSE(subject.call());
    EXPECT_EQ(server.connections(), 1U);
  });
}

TEST_F(RedisClientTest, AServerThatIsBusyIsAskedAgainWhenItSaysThatItIsNot) {
  for (const char* words :
       {"LOADING Redis is loading", "BUSY a script", "MASTERDOWN Link", "CLUSTERDOWN Hash"}) {
    run([words](BlockingPool& pool) -> Task<void> {
      bool busy = true;
      FakeRedis server([&busy, words](const Words& command) -> std::optional<std::string> {
        if (command.front() == "HELLO") return kHello;
        return busy ? error(words) : std::string(kOk);
      });
      Subject subject(pool, options(server.address()));
      co_await until([&] { return subject.is_up && subject.call(); });
      co_await until([&] { return !subject.is_up; });
      EXPECT_EQ(subject.heard, std::vector<std::string>{words});
      EXPECT_FALSE(subject.call());
      busy = false;
      co_await until([&] { return subject.is_up && subject.call(); });
      EXPECT_EQ(server.connections(), 1U);
    });
  }
}

TEST_F(RedisClientTest, GivesUpRedirectionsThatGoInACircle) {
  run([](BlockingPool& pool) -> Task<void> {
    FakeRedis* self = nullptr;
    FakeRedis server(greeting([&self](const Words&) -> std::optional<std::string> {
      return error("MOVED 0 " + self->address().to_string());
    }));
    self = &server;
    Subject subject(pool, options(server.address()));
    co_await until([&] { return subject.is_up && subject.call(); });
    co_await until([&] {
      if (!subject.heard.empty() && subject.heard.back().starts_with("MOVED")) return true;
      subject.call();
      return false;
    });
  });
}

TEST_F(RedisClientTest, MayBeDestroyedAtAnyMoment) {
  for (TurnCounts count; count.now() < 200; count.advance()) {
    run([turn = count.now()](BlockingPool& pool) -> Task<void> {
      FakeRedis server(greeting([](const Words& words) -> std::optional<std::string> {
        return words.front() == "EVALSHA" ? error("NOSCRIPT") : kOk;
      }));
      std::size_t told = 0, asked = 0;
      Options wanted = options(server.address());
      {
        auto client = std::make_unique<Client>(pool, wanted, [](bool, std::string_view) {});
        for (unsigned i = 0; i < turn; ++i) {
          if (client->run(kScript, std::vector<std::string>{"k"}, {},
                          [&told](const Result<Reply>&) { ++told; }))
            ++asked;
          co_await turns(1);
        }
        client.reset();
      }
      EXPECT_EQ(told, asked) << "each is told once";
    });
  }
}

}  // namespace
}  // namespace autoglm::redis
