#include "tools/bench/handshakes.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

#include "net/socket.h"
#include "tools/bench/channel.h"

namespace pelikan::tools::bench {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kSilenceMax{5};

}  // namespace

class Handshakes::Slot final : public Channel {
 public:
  explicit Slot(Handshakes& load) : Channel(load.shared_), load_(load) {}

  // `fd` is connected or connecting, since `begun`.
  void begin(Instant begun, net::Fd fd, std::unique_ptr<net::tls::Session> session) {
    begun_ = begun;
    done_.reset();
    ++load_.open_;
    const bool plain = session == nullptr;
    open(std::move(fd), std::move(session));
    if (plain) await_connect();
  }
  void give_up(const std::string& what) {
    fail(Trouble::kUnanswered, what);
    close();  // even if an alert is still under way
  }

 private:
  void on_established() override {
    if (load_.tally_.cipher.empty()) load_.tally_.cipher = cipher_of(*session());
    done();
  }
  void on_flushed() override {
    if (!done_) done();
  }
  void done() {
    done_ = steady_clock::now();
    finish();
  }
  void on_plain(std::string_view /*bytes: nothing was asked*/) override {}
  void on_peer_end(int error) override {
    if (error != 0) {
      const std::string advice = session() != nullptr ? "; " + std::string(kCertificateAdvice) : "";
      return fail(done_ ? Trouble::kLost : Trouble::kNotConnected, std::strerror(error) + advice);
    }
    load_.last_news_ = steady_clock::now();
    load_.tally_.answered(1, static_cast<std::uint64_t>((done_.value_or(load_.last_news_) - begun_).count()));
    if (session() != nullptr && session()->resumed()) ++load_.tally_.resumed;
    close();
  }
  void on_failed(Trouble trouble, const std::string& what) override { load_.tally_.trouble(trouble, 1, what); }
  void on_closed() override {
    --load_.open_;
    load_.idle_.push_back(this);
  }

  Handshakes& load_;
  Instant begun_;
  std::optional<Instant> done_;  // when the client has completed it
};

Handshakes::Handshakes(const Options& options, std::uint32_t thread) : Load(options, thread) {
  for (std::uint32_t i = 0; i < connection_count_; ++i) {
    slots_.push_back(std::make_unique<Slot>(*this));
    idle_.push_back(slots_.back().get());
  }
}

Handshakes::~Handshakes() = default;

void Handshakes::prepare() {
  const Instant now = last_news_ = steady_clock::now();
  try {
    net::Fd fd = connect_target();
    address_bytes_ = sizeof(address_);
    if (::getpeername(fd.get(), reinterpret_cast<sockaddr*>(&address_), &address_bytes_) != 0) address_bytes_ = 0;
    Slot& first = *idle_.back();
    idle_.pop_back();
    first.begin(now, std::move(fd), tls_ ? tls_->connect(server_name_, false) : nullptr);
  } catch (const std::runtime_error& error) {
    return tally_.trouble(Trouble::kNotConnected, 1, error.what());
  }
  await_closed(kSilenceMax, options_.tls ? "; if the target speaks plain text, leave out --tls" : "");
}

void Handshakes::measure(Instant begin) {
  if (tally_.requests == 0) return;
  tally_.start_measuring();
  std::this_thread::sleep_until(begin);
  last_news_ = begin;
  measuring_ = true;
  while (measuring_) {
    begin_idle();
    turn(idle_.empty() ? kTurnMs : 1);
    const Instant now = steady_clock::now();
    measuring_ = now - begin < options_.duration && now - last_news_ < kSilenceMax;
  }
  await_closed(kLastAnswersMax, "");
  tally_.seconds = std::chrono::duration<double>(last_news_ - begin).count();
}

void Handshakes::finish() {
  for (const auto& slot : slots_) slot->close();
  while (open_ > 0) turn(kTurnMs);
}

std::expected<net::Fd, int> Handshakes::connect() const {
  net::Fd fd(::socket(address_.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return std::unexpected(errno);
  net::set_no_delay(fd.get());
  const int result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address_), address_bytes_);
  if (result != 0 && errno != EINPROGRESS) return std::unexpected(errno);
  return fd;
}

void Handshakes::begin_idle() {
  std::vector<Slot*> idle;
  idle.swap(idle_);
  for (Slot* slot : idle) {
    const Instant now = steady_clock::now();
    auto fd = connect();
    auto session = fd && tls_ ? tls_->connect(server_name_, options_.resume) : nullptr;
    const int error = !fd ? fd.error() : tls_ && !session ? ENOMEM : 0;
    if (error == 0) {
      slot->begin(now, *std::move(fd), std::move(session));
    } else {
      idle_.push_back(slot);
      // The queue of a unix socket is full: no failure yet.
      if (error != EAGAIN) tally_.trouble(Trouble::kNotConnected, 1, "connect: " + std::string(std::strerror(error)));
    }
  }
}

void Handshakes::await_closed(std::chrono::seconds limit, const char* advice) {
  const Instant since = steady_clock::now();
  while (open_ > 0) {
    turn(kTurnMs);
    if (steady_clock::now() - since < limit) continue;
    for (const auto& slot : slots_) slot->give_up("no answer in time" + std::string(advice));
  }
}

}  // namespace pelikan::tools::bench
