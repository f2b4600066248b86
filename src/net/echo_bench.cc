// Echo over loopback TCP: the loop on its own thread, all clients on one other. Arguments: engine (1 epoll, 2
// io_uring), connections. The clients use read() and write() only, so `strace -f -c` shows the loop's system calls
// apart from theirs.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "net/loop.h"
#include "net/socket.h"

namespace pelikan::net {
namespace {

constexpr std::size_t kRequestBytes = 40;

class Echo : public Stream {
 public:
  Echo(Loop& loop, BufferPool& pool) : loop_(loop), pool_(pool) {}
  void on_data(std::string_view bytes) override {
    Buffer reply(pool_);
    reply.append(bytes);
    loop_.send(*this, std::move(reply), SentNotice::kLater);
  }
  void on_end(int /*error*/) override { loop_.close(*this); }
  void on_sent() override {}
  void on_closed() override {}

 private:
  Loop& loop_;
  BufferPool& pool_;
};

class Server : public Acceptor {
 public:
  explicit Server(Engine engine)
      : loop_(make_loop({.engine = engine})),
        listening_(listen_tcp("127.0.0.1", 0, 1024)),
        thread_([this] { run(); }) {}
  ~Server() override {
    stop_ = true;
    loop_->wake();
    thread_.join();
  }
  void on_accept(Fd fd) override {
    streams_.push_back(std::make_unique<Echo>(*loop_, pool_));
    loop_->attach(*streams_.back(), std::move(fd));
  }
  void on_accept_error(int /*error*/) override { stop_ = true; }

  Fd connect() const {
    return connect_tcp("127.0.0.1", static_cast<std::uint16_t>(std::stoi(listening_.name.substr(10))));
  }

 private:
  void run() {
    loop_->listen(*this, listening_.fd.get());
    while (!stop_) {
      loop_->wait(-1);
      loop_->dispatch();
    }
  }

  BufferPool pool_{1 << 30};
  std::vector<std::unique_ptr<Echo>> streams_;
  std::unique_ptr<Loop> loop_;
  Listening listening_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

void echo(benchmark::State& state) {
  const EngineChoice choice = choose_engine(state.range(0) == 2 ? Engine::kAuto : Engine::kEpoll);
  state.SetLabel(choice.engine == Engine::kUring ? "io_uring" : "epoll");
  const Server server(choice.engine);
  std::vector<Fd> clients(static_cast<std::size_t>(state.range(1)));
  for (auto& client : clients) client = server.connect();
  std::array<char, kRequestBytes> request{};
  for (auto _ : state) {
    bool ok = true;
    for (const auto& client : clients)
      ok = ok && ::write(client.get(), request.data(), request.size()) == kRequestBytes;
    for (const auto& client : clients) ok = ok && ::read(client.get(), request.data(), request.size()) == kRequestBytes;
    if (!ok) {
      state.SkipWithError("a reply is missing");
      break;
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(1));
}

BENCHMARK(echo)->ArgsProduct({{1, 2}, {1, 50}})->UseRealTime();

}  // namespace
}  // namespace pelikan::net
