#include "tools/bench/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/bytes.h"

namespace pelikan::tools::bench {
namespace {

constexpr std::uint32_t kConnectionsMax = 100'000;
constexpr std::uint32_t kPipelineMax = 10'000;
constexpr std::uint32_t kKeysMax = 4'000'000'000;
constexpr std::uint32_t kKeyBytesMax = 250;
constexpr std::uint32_t kValueBytesMax = 64 << 20;
constexpr std::uint32_t kThreadsMax = 256;
constexpr std::uint32_t kEchoBytesMax = 1 << 20;
constexpr std::uint32_t kPipelineOpen = 128;  // unless given
constexpr double kRateMax = 100'000'000;
constexpr double kZipfMax = 10;
constexpr double kDurationSecondsMax = 7 * 24 * 3600;
constexpr std::uint32_t kWeightMax = 1'000'000;
constexpr std::uint32_t kKeysPerGetMax = 1000;
constexpr std::uint32_t kKeysUnderWayMax = 1'000'000;  // of a connection
constexpr const char* kProtocols = "memcache, meta, binary, resp, ping or echo";

[[noreturn]] void refuse(std::string_view option, std::string_view text, std::string_view allowed) {
  throw UsageError(std::string(option) + ": `" + std::string(text) + "` is not " + std::string(allowed));
}

// A decimal number and what follows it. Nothing when `text` does not begin with one.
std::optional<std::pair<double, std::string_view>> split_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc{}) return std::nullopt;
  return std::pair(value, text.substr(static_cast<std::size_t>(end - text.data())));
}

Protocol parse_protocol(const std::string& text) {
  if (text == "memcache") return Protocol::kMemcache;
  if (text == "meta") return Protocol::kMeta;
  if (text == "binary") return Protocol::kBinary;
  if (text == "resp") return Protocol::kResp;
  if (text == "ping") return Protocol::kPing;
  if (text == "echo") return Protocol::kEcho;
  refuse("--protocol", text, kProtocols);
}

net::Engine parse_engine(const std::string& text) {
  if (text == "auto") return net::Engine::kAuto;
  if (text == "epoll") return net::Engine::kEpoll;
  if (text == "io_uring") return net::Engine::kUring;
  refuse("--engine", text, "auto, io_uring or epoll");
}

bool stores(Protocol protocol) { return protocol != Protocol::kPing && protocol != Protocol::kEcho; }

void check_tls(const CLI::App& app, const Options& options) {
  if (!options.tls) {
    for (const auto* option : {"--ca", "--cert", "--key", "--tls-version", "--resume"}) {
      if (app.count(option) > 0) throw UsageError(std::string(option) + ": only with TLS; add --tls");
    }
  }
  const TlsFiles& files = options.tls_files;
  if (files.certificate.empty() != files.key.empty()) {
    const bool no_key = files.key.empty();
    throw UsageError(std::string(no_key ? "--cert" : "--key") + ": a client certificate needs both; add " +
                     (no_key ? "--key FILE" : "--cert FILE"));
  }
  if (!options.tls_version.empty() && options.tls_version != "1.2" && options.tls_version != "1.3") {
    refuse("--tls-version", options.tls_version, "1.2 or 1.3");
  }
}

void check_handshakes(const CLI::App& app, const Options& options) {
  if (options.resume && !options.handshakes) throw UsageError("--resume: only with --handshakes; add it");
  if (!options.handshakes) return;
  for (const auto* option : {"--rate", "--pipeline", "--fill", "--ratio"}) {
    if (app.count(option) > 0) throw UsageError(std::string(option) + ": --handshakes sends no requests; leave it out");
  }
}

void check_multiget(const Options& options) {
  if (options.keys_per_get == 1) return;
  if (options.protocol != Protocol::kMemcache && options.protocol != Protocol::kResp) {
    throw UsageError("--multiget: only memcache and resp ask for several keys in one request");
  }
  if (options.keys_per_get * options.pipeline > kKeysUnderWayMax) {
    throw UsageError("--multiget: times --pipeline it may be " + std::to_string(kKeysUnderWayMax) + " at most");
  }
}

void check_together(const CLI::App& app, const Options& options) {
  if (options.rate && std::isnan(*options.rate)) refuse("--rate", "nan", "a number");
  check_tls(app, options);
  check_handshakes(app, options);
  if (options.threads > options.connections) {
    throw UsageError("--threads: each needs a connection of its own; raise --connections to " +
                     std::to_string(options.threads));
  }
  check_multiget(options);
  const std::size_t digits = std::to_string(options.keys - 1).size();
  if (stores(options.protocol) && options.key_bytes < digits) {
    throw UsageError("--key-size: " + std::to_string(options.keys) + " different keys need at least " +
                     std::to_string(digits) + " bytes each");
  }
  if (options.fill && !stores(options.protocol)) throw UsageError("--fill: ping and echo store nothing");
}

// The texts that need more than a number's range.
struct Texts {
  std::string target;
  std::string protocol = "memcache";
  std::string echo_server;
  std::string echo = "120:120";
  std::string engine = "auto";
  std::string duration = "5s";
  std::string distribution = "uniform";
  std::string ratio = "get:90,set:10";
};

void declare_tls(CLI::App& app, Options& options) {
  app.add_flag("--tls", options.tls, "speak TLS");
  app.add_option(
      "--ca", options.tls_files.ca,
      "PEM file: authorities that must have signed the target's certificate; without it the target is not verified");
  app.add_option("--cert", options.tls_files.certificate, "PEM file: the client certificate, its issuers after it");
  app.add_option("--key", options.tls_files.key, "PEM file: the key of the client certificate");
  app.add_option("--tls-version", options.tls_version, "this version only: 1.2 or 1.3");
  app.add_flag("--handshakes", options.handshakes, "no requests: connect, complete the TLS handshake, close, again");
  app.add_flag("--resume", options.resume, "only with --handshakes: each resumes a session");
}

void declare(CLI::App& app, Options& options, Texts& texts) {
  app.add_option("--target", texts.target, "HOST:PORT or unix:PATH");
  app.add_option("--protocol", texts.protocol, kProtocols)->capture_default_str();
  app.add_option("--echo-server", texts.echo_server, "listen on [HOST:]PORT and be a server that parses nothing");
  app.add_option("--echo", texts.echo, "IN:OUT: an echo server answers every IN bytes with OUT")->capture_default_str();
  app.add_option("--connections", options.connections, "connections kept open")
      ->capture_default_str()
      ->check(CLI::Range(1u, kConnectionsMax));
  app.add_option("--threads", options.threads, "threads that share the connections")
      ->capture_default_str()
      ->check(CLI::Range(1u, kThreadsMax));
  app.add_option("--rate", options.rate, "open loop: requests per second, sent at their times whatever the target does")
      ->check(CLI::Range(0.1, kRateMax));
  app.add_option("--pipeline", options.pipeline,
                 "requests sent at once on each connection; with --rate, under way at most (then 128)")
      ->capture_default_str()
      ->check(CLI::Range(1u, kPipelineMax));
  app.add_option("--duration", texts.duration, "how long to measure: 5s, 0.5s, 250ms, 2m")->capture_default_str();
  app.add_option("--keys", options.keys, "how many different keys")
      ->capture_default_str()
      ->check(CLI::Range(1u, kKeysMax));
  app.add_option("--key-size", options.key_bytes, "bytes of a key")
      ->capture_default_str()
      ->check(CLI::Range(1u, kKeyBytesMax));
  app.add_option("--multiget", options.keys_per_get, "keys that one get asks for (memcache and resp)")
      ->capture_default_str()
      ->check(CLI::Range(1u, kKeysPerGetMax));
  app.add_option("--ttl", options.ttl_sec, "seconds until what is set expires; 0: never")
      ->check(CLI::Range(0, 30 * 24 * 60 * 60))  // above, memcached takes it for a point in time
      ->capture_default_str();
  app.add_option("--value-size", options.value_bytes, "bytes of a value")
      ->capture_default_str()
      ->check(CLI::Range(0u, kValueBytesMax));
  app.add_option("--distribution", texts.distribution, "which keys: uniform or zipf:EXPONENT")->capture_default_str();
  app.add_option("--ratio", texts.ratio, "weights of get, set and delete")->capture_default_str();
  app.add_option("--engine", texts.engine, "auto, io_uring or epoll: of this program, not of the target")
      ->capture_default_str();
  app.add_flag("--fill", options.fill, "first store every key once (not measured)");
  app.add_flag("--json", options.json, "one line of JSON instead of the table");
  app.add_flag("--progress", options.progress, "a line a second on stderr; on a terminal there is one without --json");
  app.add_option("--target-pid", options.target_pid, "also measure the CPU time of this process")
      ->check(CLI::PositiveNumber);
}

}  // namespace

Invocation parse_options(int argc, const char* const* argv) {
  Options options;
  Texts texts;
  CLI::App app("Load for a cache server: a closed or open loop over many connections, every reply checked.",
               "pelikan-bench");
  declare(app, options, texts);
  declare_tls(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return {.options = std::nullopt, .text = app.help()};
  } catch (const CLI::ParseError& error) {
    throw UsageError(error.what());
  }
  options.echo = parse_echo(texts.echo);
  if (!texts.echo_server.empty()) {
    if (!texts.target.empty()) throw UsageError("--echo-server: has no --target; leave that out");
    options.echo_server = parse_listen(texts.echo_server);
    return {.options = options, .text = {}};
  }
  if (texts.target.empty()) throw UsageError("--target: say which; HOST:PORT or unix:PATH");
  options.target = parse_target(texts.target);
  options.protocol = parse_protocol(texts.protocol);
  options.engine = parse_engine(texts.engine);
  options.duration = parse_duration(texts.duration);
  options.zipf_exponent = parse_distribution(texts.distribution);
  options.ratio = parse_ratio(texts.ratio);
  if (options.rate && app.count("--pipeline") == 0) options.pipeline = kPipelineOpen;
  check_together(app, options);
  return {.options = options, .text = {}};
}

Target parse_target(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kAllowed = "HOST:PORT, [ADDRESS]:PORT or unix:PATH";
  if (text.starts_with(kUnix)) {
    if (text == kUnix) refuse("--target", text, kAllowed);
    return {.host = {}, .port = 0, .unix_path = std::string(text.substr(kUnix.size()))};
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse("--target", text, kAllowed);
  std::string_view host = text.substr(0, colon);
  const auto port = parse_decimal<std::uint16_t>(text.substr(colon + 1));
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.contains(':'))
    refuse("--target", text, kAllowed);
  if (host.empty() || !port || *port == 0) refuse("--target", text, kAllowed);
  return {.host = std::string(host), .port = *port, .unix_path = {}};
}

Target parse_listen(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const std::string_view host = colon == std::string_view::npos ? "127.0.0.1" : text.substr(0, colon);
  const auto port = parse_decimal<std::uint16_t>(text.substr(colon + 1));
  if (host.empty() || !port) refuse("--echo-server", text, "[HOST:]PORT, with port 0 for a free one");
  return {.host = std::string(host), .port = *port, .unix_path = {}};
}

EchoShape parse_echo(std::string_view text) {
  const std::size_t colon = std::min(text.find(':'), text.size());
  const auto in = parse_decimal<std::uint32_t>(text.substr(0, colon));
  const auto out = parse_decimal<std::uint32_t>(text.substr(std::min(colon + 1, text.size())));
  if (!in || !out || std::min(*in, *out) == 0 || std::max(*in, *out) > kEchoBytesMax) {
    refuse("--echo", text, "IN:OUT, each from 1 to " + std::to_string(kEchoBytesMax) + " bytes");
  }
  return {.request_bytes = *in, .reply_bytes = *out};
}

std::chrono::milliseconds parse_duration(std::string_view text) {
  const auto number = split_number(text);
  double seconds = number ? number->first : 0;
  if (!number) refuse("--duration", text, "a time such as 5s, 0.5s, 250ms or 2m");
  if (number->second == "ms")
    seconds /= 1000;
  else if (number->second == "m")
    seconds *= 60;
  else if (number->second != "s")
    refuse("--duration", text, "a time such as 5s, 0.5s, 250ms or 2m");
  if (!(seconds >= 0.001 && seconds <= kDurationSecondsMax)) refuse("--duration", text, "between 1ms and a week");
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

double parse_distribution(std::string_view text) {
  constexpr std::string_view kZipf = "zipf:";
  if (text == "uniform") return 0;
  const auto number = text.starts_with(kZipf) ? split_number(text.substr(kZipf.size())) : std::nullopt;
  if (!number || !number->second.empty() || !(number->first > 0 && number->first <= kZipfMax)) {
    refuse("--distribution", text, "uniform or zipf:EXPONENT with an exponent above 0, up to 10");
  }
  return number->first;
}

std::array<std::uint32_t, 3> parse_ratio(std::string_view text) {
  constexpr std::string_view kAllowed = "a list such as get:90,set:10 of get, set and delete, not all 0";
  constexpr std::array<std::string_view, 3> kNames{"get", "set", "delete"};
  std::array<std::uint32_t, 3> weights{};
  std::string_view rest = text;
  while (true) {
    const std::size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    const std::size_t colon = part.find(':');
    const auto* name = std::ranges::find(kNames, part.substr(0, colon));
    const auto weight =
        colon != std::string_view::npos ? parse_decimal<std::uint32_t>(part.substr(colon + 1)) : std::nullopt;
    if (name == kNames.end() || !weight || *weight > kWeightMax) refuse("--ratio", text, kAllowed);
    weights[static_cast<std::size_t>(name - kNames.begin())] = *weight;
    if (comma == std::string_view::npos) break;
    rest = rest.substr(comma + 1);
  }
  if (std::ranges::count(weights, 0u) == 3) refuse("--ratio", text, kAllowed);
  return weights;
}

}  // namespace pelikan::tools::bench
