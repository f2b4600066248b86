#include "tools/bench/load.h"

#include <barrier>
#include <stdexcept>
#include <thread>
#include <vector>

#include "net/socket.h"
#include "tools/bench/client.h"
#include "tools/bench/handshakes.h"
#include "tools/bench/process_cpu.h"

namespace pelikan::tools::bench {
namespace {

// Until then all threads have been woken.
constexpr std::chrono::milliseconds kStartDelay{2};
constexpr std::size_t kPoolLimitBytes = std::size_t{1} << 40;

net::LoopOptions loop_options(const Options& options) {
  net::LoopOptions loop;
  loop.engine = options.engine;
  return loop;
}

std::unique_ptr<net::tls::ClientContext> make_client_context(const Options& options) {
  if (!options.tls) return nullptr;
  net::tls::ClientOptions tls;
  tls.ca_file = options.tls_files.ca;
  tls.certificate_file = options.tls_files.certificate;
  tls.key_file = options.tls_files.key;
  if (!options.tls_version.empty()) tls.min_version = tls.max_version = options.tls_version;
  try {
    return std::make_unique<net::tls::ClientContext>(tls, "--tls: ");
  } catch (const std::runtime_error& error) {
    throw UsageError(error.what());
  }
}

}  // namespace

Load::Load(const Options& options, std::uint32_t thread)
    : options_(options),
      connection_count_(first_of(options.connections, thread + 1, options.threads) -
                        first_of(options.connections, thread, options.threads)),
      server_name_(options.target.unix_path.empty() ? options.target.host : "localhost"),
      tls_(make_client_context(options)),
      pool_(kPoolLimitBytes),
      loop_(net::make_loop(loop_options(options))),
      scratch_(tls_ ? net::tls::Session::kPlainBytesMax : 0),
      shared_{*loop_, pool_, scratch_} {}

net::Fd Load::connect_target() const {
  const Target& target = options_.target;
  return target.unix_path.empty() ? net::connect_tcp(target.host, target.port) : net::connect_unix(target.unix_path);
}

void Load::turn(int timeout_ms) {
  loop_->wait(timeout_ms);
  loop_->dispatch();
  snapshot_.answer(tally_);
}

std::string cipher_of(const net::tls::Session& session) {
  return std::string(session.version()) + " " + session.cipher();
}

std::unique_ptr<Load> make_load(const Options& options, std::uint32_t thread) {
  if (options.handshakes) return std::make_unique<Handshakes>(options, thread);
  return std::make_unique<Client>(options, thread);
}

Tally run(const Options& options) {
  Options chosen = options;
  chosen.engine = net::choose_engine(options.engine).engine;
  std::vector<std::unique_ptr<Load>> loads;
  std::vector<Snapshot*> snapshots;
  for (std::uint32_t thread = 0; thread < options.threads; ++thread) {
    loads.push_back(make_load(chosen, thread));
    snapshots.push_back(&loads.back()->snapshot());
  }

  const auto target_cpu = [&options] {
    return options.target_pid ? process_cpu_seconds(*options.target_pid) : std::nullopt;
  };
  std::barrier gate(static_cast<std::ptrdiff_t>(options.threads) + 1);
  Load::Instant begin;
  std::vector<std::jthread> threads;
  for (const auto& load : loads) {
    threads.emplace_back([&gate, &begin, &load] {
      load->prepare();
      gate.arrive_and_wait();  // all are ready
      gate.arrive_and_wait();  // `begin` is set
      load->measure(begin);
      gate.arrive_and_wait();  // all have measured
      load->finish();
    });
  }
  gate.arrive_and_wait();
  const std::optional<double> cpu_before = target_cpu();
  begin = std::chrono::steady_clock::now() + kStartDelay;
  gate.arrive_and_wait();
  std::optional<ProgressReport> progress;
  if (options.progress) progress.emplace(snapshots, stderr);
  gate.arrive_and_wait();
  progress.reset();
  const std::optional<double> cpu_after = target_cpu();
  threads.clear();

  Tally total;
  for (const auto& load : loads) total += load->tally();
  if (cpu_before && cpu_after) total.target_cpu_seconds = *cpu_after - *cpu_before;
  return total;
}

}  // namespace pelikan::tools::bench
