// What pelikan-bench was asked to do, checked.
// Failure: UsageError, one line, thrown while starting.
#pragma once

#include <sys/types.h>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "net/loop.h"

namespace pelikan::tools::bench {

class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class Protocol : std::uint8_t { kMemcache, kMeta, kBinary, kResp, kPing, kEcho };
enum class Action : std::uint8_t { kGet, kSet, kDelete };

// What an echo server answers: so many bytes with so many.
struct EchoShape {
  std::uint32_t request_bytes = 120;
  std::uint32_t reply_bytes = 120;
};

// HOST:PORT, [ADDRESS]:PORT, or unix:PATH.
struct Target {
  std::string host;
  std::uint16_t port = 0;
  std::string unix_path;  // empty: TCP
};

struct TlsFiles {
  std::string ca;           // empty: the target's certificate is not checked
  std::string certificate;  // both or none
  std::string key;
};

struct Options {
  Target target;
  std::optional<Target> echo_server;  // listen there instead; nothing else but `echo` counts then
  Protocol protocol = Protocol::kMemcache;
  EchoShape echo;
  net::Engine engine = net::Engine::kAuto;
  std::uint32_t connections = 50;  // of all threads together
  std::uint32_t threads = 1;
  // Closed loop: requests sent at once; the next ones go when all are answered. Open loop: requests under way at most.
  std::uint32_t pipeline = 1;
  std::optional<double> rate;  // an open loop: requests per second, of all threads together
  bool handshakes = false;     // no requests: connect, TLS handshake, close
  bool resume = false;         // ... with session tickets
  bool tls = false;
  TlsFiles tls_files;
  std::string tls_version;  // "1.2", "1.3", empty: what the target likes best
  std::chrono::milliseconds duration{5000};
  std::uint32_t keys = 1'000'000;
  std::uint32_t key_bytes = 32;
  std::uint32_t value_bytes = 100;
  std::uint32_t ttl_sec = 0;                      // of what is set; 0: it stays
  std::uint32_t keys_per_get = 1;                 // in one request
  double zipf_exponent = 0;                       // 0: uniform
  std::array<std::uint32_t, 3> ratio{90, 10, 0};  // weights, by Action
  bool fill = false;
  bool json = false;
  bool progress = false;  // a line a second on stderr
  std::optional<pid_t> target_pid;
};

struct Invocation {
  std::optional<Options> options;  // nothing: print `text` and end with 0
  std::string text;
};

[[nodiscard]] Invocation parse_options(int argc, const char* const* argv);

// The parts of it, each for one option's text.
[[nodiscard]] Target parse_target(std::string_view text);
[[nodiscard]] Target parse_listen(std::string_view text);                       // [HOST:]PORT
[[nodiscard]] EchoShape parse_echo(std::string_view text);                      // IN:OUT
[[nodiscard]] std::chrono::milliseconds parse_duration(std::string_view text);  // 5s, 0.5s, 250ms, 2m
[[nodiscard]] double parse_distribution(std::string_view text);                 // Options::zipf_exponent
[[nodiscard]] std::array<std::uint32_t, 3> parse_ratio(std::string_view text);  // get:90,set:10

}  // namespace pelikan::tools::bench
