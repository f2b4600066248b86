#include "tools/bench/client.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

#include "net/fd.h"
#include "net/socket.h"
#include "tools/bench/channel.h"
#include "tools/bench/dialogue.h"

namespace pelikan::tools::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kSilenceMax{10};
constexpr std::chrono::seconds kHandshakeSilenceMax{5};
constexpr std::uint32_t kHandshakesMax = 256;  // of all threads; a target that accepts no more would stall connect()
constexpr const char* kNoHandshake =
    "TLS handshake: no answer in time; if the target speaks plain text, leave out --tls";
constexpr int kSendsPerTurn = 1024;         // open loop: then replies are looked at
constexpr std::uint64_t kSpinNs = 200'000;  // open loop: not trusted to a timeout
constexpr std::uint64_t kSeed = 1;

std::uint64_t nanoseconds(steady_clock::time_point instant) {
  return static_cast<std::uint64_t>(instant.time_since_epoch() / std::chrono::nanoseconds(1));
}

// How long to leave the thread to the kernel when nothing is to be sent before `next_ns`.
int sleep_ms(std::uint64_t now_ns, std::uint64_t next_ns, int max_ms) {
  if (next_ns <= now_ns + kSpinNs) return 0;
  const auto free_ms = (next_ns - now_ns - kSpinNs) / 1'000'000;
  return static_cast<int>(std::min(static_cast<std::uint64_t>(max_ms), free_ms));
}

// The intended times of the requests under way on a connection.
class IntendedTimes {
 public:
  explicit IntendedTimes(std::uint32_t count_max) : times_ns_(std::bit_ceil(count_max)) {}
  void push(std::uint64_t time_ns) noexcept { times_ns_[end_++ & (times_ns_.size() - 1)] = time_ns; }
  std::uint64_t pop() noexcept { return times_ns_[begin_++ & (times_ns_.size() - 1)]; }

 private:
  std::vector<std::uint64_t> times_ns_;
  std::uint32_t begin_ = 0;
  std::uint32_t end_ = 0;
};

}  // namespace

class Client::Connection final : public Channel {
 public:
  explicit Connection(Client& client)
      : Channel(client.shared_),
        client_(client),
        dialogue_(make_dialogue(client.options_, client.options_.pipeline, client.workload_)),
        intended_(client.options_.rate ? client.options_.pipeline : 1) {}

  void send_batch(std::uint32_t count) {
    compose(count);
    batch_ = count;
    sent_ns_ = nanoseconds(steady_clock::now());
    flush();
  }
  // Goes with the next flush().
  void ask(std::uint64_t intended_ns) {
    compose(1);
    intended_.push(intended_ns);
  }
  [[nodiscard]] bool has_room() const { return !closing() && unanswered() < client_.options_.pipeline; }
  [[nodiscard]] bool working() const { return working_; }
  [[nodiscard]] std::uint32_t unanswered() const { return dialogue_->outstanding(); }
  void give_up(Trouble trouble, const std::string& what) { fail(trouble, what); }

  bool in_line = false;  // in roomy_
  bool touched = false;  // in touched_

 private:
  void compose(std::uint32_t count) {
    if (!std::exchange(working_, true) && client_.working_++ == 0) client_.last_news_ = steady_clock::now();
    dialogue_->compose(count, output());
  }
  void on_established() override {
    --client_.shaking_;
    if (client_.tally_.cipher.empty()) client_.tally_.cipher = cipher_of(*session());
    client_.last_news_ = steady_clock::now();
  }
  void on_plain(std::string_view bytes) override {
    const std::uint32_t before = unanswered();
    const bool understood = dialogue_->scan(bytes, client_.tally_);
    const std::uint32_t answers = before - unanswered();
    if (!understood) return fail(Trouble::kGarbage, what_garbage(bytes));
    if (answers > 0) on_answers(answers);
  }
  void on_answers(std::uint32_t count) {
    replied_ = true;
    if (client_.pacing_) {
      client_.last_news_ = steady_clock::now();
      const std::uint64_t now_ns = nanoseconds(client_.last_news_);
      for (; count > 0; --count) client_.tally_.answered(1, now_ns - intended_.pop());
    } else if (unanswered() == 0) {
      client_.last_news_ = steady_clock::now();
      client_.tally_.answered(batch_, nanoseconds(client_.last_news_) - sent_ns_);
    }
    if (unanswered() == 0) rest();
    client_.answered(*this);
  }
  void rest() {
    if (std::exchange(working_, false)) --client_.working_;
  }
  void on_peer_end(int error) override {
    std::string what = error == 0 ? "connection closed by the target" : std::strerror(error);
    if (!replied_) what += " before its first reply; " + advice();
    fail(Trouble::kLost, what);
  }
  void on_failed(Trouble trouble, const std::string& what) override {
    rest();
    if (!established()) --client_.shaking_;
    client_.tally_.trouble(trouble, trouble == Trouble::kUnanswered ? unanswered() : 1, what);
  }
  void on_closed() override { --client_.open_; }

  [[nodiscard]] std::string advice() const {
    return session() == nullptr ? "if it speaks TLS, add --tls" : kCertificateAdvice;
  }
  [[nodiscard]] std::string what_garbage(std::string_view bytes) const {
    const bool tls_alert = bytes.starts_with("\x15\x03");
    if (session() == nullptr && !replied_ && tls_alert) return "the target answers with a TLS alert: add --tls";
    return "not a reply: " + std::string(bytes.substr(0, 80));
  }

  Client& client_;
  std::unique_ptr<Dialogue> dialogue_;
  IntendedTimes intended_;     // open loop
  std::uint64_t sent_ns_ = 0;  // closed loop: of the batch
  std::uint32_t batch_ = 0;
  bool working_ = false;
  bool replied_ = false;  // an answer that was understood
};

Client::Client(const Options& options, std::uint32_t thread)
    : Load(options, thread), thread_(thread), workload_(options, kSeed + thread) {
  if (options.rate) pacer_.emplace(*options.rate / options.threads, kSeed + thread);
}

Client::~Client() = default;

void Client::prepare() {
  connect();
  if (!options_.fill) return;
  workload_.fill(first_of(options_.keys, thread_, options_.threads),
                 first_of(options_.keys, thread_ + 1, options_.threads));
  drive(Instant::max());
  workload_.mix();
}

void Client::measure(Instant begin) {
  tally_.start_measuring();
  const Instant deadline = begin + options_.duration;
  last_news_ = begin;
  if (pacer_) {
    drive_open_loop(begin, deadline);
    tally_.pace = pacer_->counts();
    last_news_ = std::max(last_news_, deadline);  // a low rate is not made higher
  } else {
    std::this_thread::sleep_until(begin);
    drive(deadline);
  }
  tally_.seconds = std::chrono::duration<double>(last_news_ - begin).count();
}

void Client::finish() {
  for (const auto& connection : connections_) connection->close();
  while (open_ > 0) turn(kTurnMs);
}

void Client::connect() {
  const std::size_t under_way_max = std::max(kHandshakesMax / options_.threads, 1u) - 1;  // besides the next
  for (std::uint32_t i = 0; i < connection_count_; ++i) {
    try {
      net::Fd fd = connect_target();
      net::set_no_delay(fd.get());
      auto session = tls_ ? tls_->connect(server_name_, false) : nullptr;
      if (tls_ && !session) throw std::runtime_error("no memory for a TLS session");
      connections_.push_back(std::make_unique<Connection>(*this));
      ++open_;
      if (tls_) ++shaking_;
      connections_.back()->open(std::move(fd), std::move(session));
      if (!tls_) continue;
      turn(0);  // its first bytes go now: the target's time for it runs
      if (await_handshakes(under_way_max)) continue;
      if (i + 1 < connection_count_) tally_.trouble(Trouble::kHandshake, connection_count_ - i - 1, kNoHandshake);
      return;
    } catch (const std::runtime_error& error) {
      tally_.trouble(Trouble::kNotConnected, connection_count_ - i, error.what());
      break;  // what refuses one refuses the next
    }
  }
  static_cast<void>(await_handshakes(0));
}

bool Client::await_handshakes(std::size_t under_way_max) {
  last_news_ = steady_clock::now();
  while (shaking_ > under_way_max) {
    turn(kTurnMs);
    if (steady_clock::now() - last_news_ < kHandshakeSilenceMax) continue;
    for (const auto& connection : connections_) {
      if (!connection->closing() && !connection->established()) connection->give_up(Trouble::kHandshake, kNoHandshake);
    }
    return false;
  }
  return true;
}

void Client::drive(Instant deadline) {
  stopping_ = false;
  last_news_ = steady_clock::now();
  for (const auto& connection : connections_) start(*connection);
  while (working_ > 0) {
    turn(kTurnMs);
    const Instant now = steady_clock::now();
    stopping_ = now >= deadline;
    if (stopping_) return await_last_answers(deadline);
    if (now - last_news_ >= kSilenceMax) give_up_waiting();
  }
}

void Client::start(Connection& connection) {
  const std::uint32_t count = std::min(options_.pipeline, workload_.remaining());
  if (stopping_ || count == 0 || connection.closing()) return;
  connection.send_batch(count);
}

void Client::answered(Connection& connection) {
  if (!pacing_) {
    if (connection.unanswered() == 0) start(connection);
  } else if (!std::exchange(connection.in_line, true)) {
    roomy_.push_back(&connection);
  }
}

void Client::drive_open_loop(Instant begin, Instant deadline) {
  pacing_ = true;
  pacer_->start(nanoseconds(begin), nanoseconds(deadline));
  for (const auto& connection : connections_) {
    connection->in_line = true;
    roomy_.push_back(connection.get());
  }
  while (true) {
    const Instant now = steady_clock::now();
    const std::uint64_t now_ns = nanoseconds(now);
    send_due(now_ns);
    const std::uint64_t next_ns = pacer_->next_ns();
    if (next_ns == Pacer::kNever || open_ == 0 || now - deadline >= kLastAnswersMax) break;
    if (working_ > 0 && now - last_news_ >= kSilenceMax) {
      give_up_waiting();
      break;
    }
    const bool held = next_ns <= now_ns && roomy_.empty();
    turn(held ? kTurnMs : sleep_ms(now_ns, next_ns, kTurnMs));
  }
  pacer_->stop();
  await_last_answers(std::max(deadline, steady_clock::now()));
}

void Client::send_due(std::uint64_t now_ns) {
  for (int sends = 0; sends < kSendsPerTurn && pacer_->due(now_ns); ++sends) {
    Connection* connection = next_with_room();
    if (connection == nullptr) {
      pacer_->hold();
      break;
    }
    connection->ask(pacer_->take(now_ns));
    if (!std::exchange(connection->touched, true)) touched_.push_back(connection);
    if (connection->has_room())
      roomy_.push_back(connection);
    else
      connection->in_line = false;
  }
  for (Connection* connection : touched_) {
    connection->touched = false;
    connection->flush();
  }
  touched_.clear();
}

// Taken out of roomy_.
Client::Connection* Client::next_with_room() {
  while (!roomy_.empty()) {
    Connection* connection = roomy_.front();
    roomy_.pop_front();
    if (connection->has_room()) return connection;
    connection->in_line = false;
  }
  return nullptr;
}

void Client::await_last_answers(Instant since) {
  while (working_ > 0) {
    if (steady_clock::now() - since >= kLastAnswersMax) return give_up_waiting();
    turn(kTurnMs);
  }
}

void Client::give_up_waiting() {
  stopping_ = true;
  for (const auto& connection : connections_) {
    if (connection->working()) connection->give_up(Trouble::kUnanswered, "no answer in time");
  }
}

}  // namespace pelikan::tools::bench
