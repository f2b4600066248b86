#include "tools/bench/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

namespace pelikan::tools::bench {
namespace {

constexpr std::chrono::seconds kPeriod{1};
constexpr std::chrono::milliseconds kAnswerMax{200};  // a turn takes at most a quarter of it
constexpr const char* kWipe = "\r\x1b[K";

Tally ask_all(std::span<Snapshot* const> loads) {
  Tally total;
  for (Snapshot* load : loads) {
    if (const auto tally = load->ask(kAnswerMax)) total += *tally;
  }
  return total;
}

}  // namespace

std::optional<Tally> Snapshot::ask(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  tally_.reset();
  asked_.store(true, std::memory_order_relaxed);
  answered_.wait_for(lock, limit, [this] { return tally_.has_value(); });
  asked_.store(false, std::memory_order_relaxed);
  return std::exchange(tally_, std::nullopt);
}

void Snapshot::publish(const Tally& tally) {
  const std::scoped_lock lock(mutex_);
  if (!asked_.load(std::memory_order_relaxed)) return;  // it was too late
  asked_.store(false, std::memory_order_relaxed);
  tally_ = tally;
  answered_.notify_one();
}

std::string progress_line(const Tally& before, const Tally& now, double seconds) {
  const double requests = static_cast<double>(now.requests) - static_cast<double>(before.requests);
  return fmt::format("{:.0f}/s  p99 until now {:.1f} us  errors {}", requests / seconds, now.percentile_us(0.99),
                     now.errors());
}

ProgressReport::ProgressReport(std::span<Snapshot* const> loads, std::FILE* out)
    : loads_(loads),
      out_(out),
      terminal_(::isatty(::fileno(out)) == 1),
      thread_([this](const std::stop_token& stop) { run(stop); }) {}

void ProgressReport::run(const std::stop_token& stop) {
  using Clock = std::chrono::steady_clock;
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  Clock::time_point next = Clock::now() + kPeriod;
  Clock::time_point before_at = Clock::now();
  Tally before;
  while (!wake.wait_until(lock, stop, next, [&stop] { return stop.stop_requested(); })) {
    const Tally now = ask_all(loads_);
    const Clock::time_point now_at = Clock::now();
    write(progress_line(before, now, std::chrono::duration<double>(now_at - before_at).count()));
    before = now;
    before_at = now_at;
    next += kPeriod;
  }
  if (terminal_) std::fputs(kWipe, out_);
}

void ProgressReport::write(const std::string& line) {
  if (terminal_)
    fmt::print(out_, "{}{}", kWipe, line);
  else
    fmt::print(out_, "{}\n", line);
  std::fflush(out_);
}

}  // namespace pelikan::tools::bench
