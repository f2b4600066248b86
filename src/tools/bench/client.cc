#include "tools/bench/client.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "net/fd.h"
#include "net/socket.h"
#include "tools/bench/process_cpu.h"

namespace pelikan::tools::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kSilenceMax{10};
constexpr std::chrono::seconds kLastAnswersMax{2};  // after the measured time
constexpr int kTurnMs = 50;                         // how late the end of the run may be seen
constexpr std::size_t kPoolLimitBytes = std::size_t{1} << 40;
constexpr std::uint64_t kSeed = 1;

net::LoopOptions loop_options(net::Engine wanted) {
  net::LoopOptions options;
  options.engine = net::choose_engine(wanted).engine;
  return options;
}

}  // namespace

class Client::Connection final : public net::Stream {
 public:
  explicit Connection(Client& client)
      : client_(client),
        dialogue_(make_dialogue(client.options_.protocol, client.options_.pipeline, client.workload_)) {}

  void on_data(std::string_view bytes) override {
    if (!dialogue_->scan(bytes, client_.tally_)) {
      client_.tally_.trouble(Trouble::kGarbage, 1, "not a reply: " + std::string(bytes.substr(0, 80)));
      return close();
    }
    if (dialogue_->outstanding() > 0 || answered_) return;
    answered_ = true;
    client_.last_answer_ = steady_clock::now();
    client_.tally_.answered(
        batch_, static_cast<std::uint64_t>((client_.last_answer_ - sent_at_) / std::chrono::nanoseconds(1)));
    finish_batch();
  }
  void on_end(int error) override {
    client_.tally_.trouble(Trouble::kLost, 1, error == 0 ? "connection closed by the target" : std::strerror(error));
    close();
  }
  void on_sent() override {
    sending_ = false;
    finish_batch();
  }
  void on_closed() override { --client_.open_; }

  void send_batch(std::uint32_t count) {
    Buffer requests(client_.pool_);
    dialogue_->compose(count, requests);
    batch_ = count;
    answered_ = false;
    sending_ = true;
    ++client_.working_;
    sent_at_ = steady_clock::now();
    client_.loop_->send(*this, std::move(requests));
  }
  void close() {
    if (std::exchange(closing_, true)) return;
    if (working()) --client_.working_;
    client_.loop_->close(*this);
  }
  [[nodiscard]] bool closing() const noexcept { return closing_; }
  [[nodiscard]] bool working() const noexcept { return sending_ || !answered_; }
  [[nodiscard]] std::uint32_t unanswered() const noexcept { return dialogue_->outstanding(); }

 private:
  // The replies may come before the loop says that the requests were sent.
  void finish_batch() {
    if (working()) return;
    --client_.working_;
    client_.start(*this);
  }

  Client& client_;
  std::unique_ptr<Dialogue> dialogue_;
  steady_clock::time_point sent_at_;
  std::uint32_t batch_ = 0;
  bool answered_ = true;
  bool sending_ = false;
  bool closing_ = false;
};

Client::Client(const Options& options)
    : options_(options),
      workload_(options, kSeed),
      pool_(kPoolLimitBytes),
      loop_(net::make_loop(loop_options(options.engine))) {}

Client::~Client() = default;

Tally Client::run() {
  connect();
  if (options_.fill) {
    workload_.fill();
    drive(Instant::max());
    workload_.mix();
  }
  const std::optional<double> cpu_before =
      options_.target_pid ? process_cpu_seconds(*options_.target_pid) : std::nullopt;
  tally_.start_measuring();
  const Instant begin = steady_clock::now();
  last_answer_ = begin;
  drive(begin + options_.duration);
  tally_.seconds = std::chrono::duration<double>(last_answer_ - begin).count();
  if (const auto cpu = options_.target_pid ? process_cpu_seconds(*options_.target_pid) : std::nullopt;
      cpu && cpu_before) {
    tally_.target_cpu_seconds = *cpu - *cpu_before;
  }
  close_all();
  return std::move(tally_);
}

void Client::connect() {
  const Target& target = options_.target;
  for (std::uint32_t i = 0; i < options_.connections; ++i) {
    try {
      net::Fd fd =
          target.unix_path.empty() ? net::connect_tcp(target.host, target.port) : net::connect_unix(target.unix_path);
      net::set_no_delay(fd.get());
      connections_.push_back(std::make_unique<Connection>(*this));
      loop_->attach(*connections_.back(), std::move(fd));
      ++open_;
    } catch (const std::runtime_error& error) {
      tally_.trouble(Trouble::kNotConnected, options_.connections - i, error.what());
      return;  // what refuses one refuses the next
    }
  }
}

void Client::drive(Instant deadline) {
  stopping_ = false;
  last_answer_ = steady_clock::now();
  for (const auto& connection : connections_) {
    if (!connection->closing()) start(*connection);
  }
  while (working_ > 0) {
    turn();
    const Instant now = steady_clock::now();
    stopping_ = now >= deadline;
    if (stopping_ ? now - deadline >= kLastAnswersMax : now - last_answer_ >= kSilenceMax) give_up_waiting();
  }
}

void Client::start(Connection& connection) {
  const std::uint32_t count = std::min(options_.pipeline, workload_.remaining());
  if (stopping_ || count == 0 || connection.closing()) return;
  connection.send_batch(count);
}

void Client::give_up_waiting() {
  stopping_ = true;
  for (const auto& connection : connections_) {
    if (connection->closing() || !connection->working()) continue;
    tally_.trouble(Trouble::kUnanswered, connection->unanswered(), "no answer in time");
    connection->close();
  }
}

void Client::close_all() {
  for (const auto& connection : connections_) connection->close();
  while (open_ > 0) turn();
}

void Client::turn() {
  loop_->wait(kTurnMs);
  loop_->dispatch();
}

}  // namespace pelikan::tools::bench
