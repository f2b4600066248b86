#include "server/launch.h"

#include <cstdio>
#include <exception>
#include <optional>
#include <utility>

#include "metrics/memory.h"
#include "metrics/metrics.h"
#include "metrics/process.h"
#include "server/certificates.h"

namespace pelikan::server {
namespace {

admin::Hooks make_hooks(core::Process& process, Certificates& certificates, const Application& application) {
  admin::Hooks hooks;
  hooks.version = kVersion;
  hooks.facts = {{"net_engine", process.engine().engine == net::Engine::kUring ? "io_uring" : "epoll"},
                 {"net_engine_reason", process.engine().reason}};
  if (application.flush_all) {
    hooks.flush_all = [&process, flush = application.flush_all](std::function<void()> done) {
      process.post_to_storage([flush, done = std::move(done)] {
        flush();
        done();
      });
    };
  }
  if (application.segments) {
    hooks.segments = [&process, report = application.segments](std::function<void(std::string)> answer) {
      process.post_to_storage([report, answer = std::move(answer)] { answer(report()); });
    };
  }
  if (!certificates.empty()) {
    hooks.reload_tls = [&certificates](const std::function<void(std::expected<std::string, std::string>)>& answer) {
      answer(certificates.reload());  // reads a few small files: only the admin port waits
    };
  }
  return hooks;
}

// Of the admin port; null: plain text. A section that both ports follow is loaded once.
const net::tls::Credentials* admin_credentials(const Settings& settings, const net::tls::Credentials* of_data_port,
                                               Certificates& certificates) {
  const net::tls::TlsOptions* options = admin::choose_tls(settings.admin, settings.admin_tls, settings.tls);
  if (options == nullptr) return nullptr;
  return options == &settings.tls ? of_data_port : certificates.add(*options);
}

// The process, its admin port, and the wait for its end.
void serve(const config::Config& config, const Settings& settings, const Application& application,
           Surroundings& surroundings) {
  Certificates certificates(config);
  const net::tls::Credentials* credentials =
      certificates.add(settings.tls, [&surroundings] { surroundings.process->recheck_sessions(); });
  const net::tls::Credentials* for_admin = admin_credentials(settings, credentials, certificates);
  core::Process process(settings.core, application.services, surroundings.clock, credentials);
  surroundings.process = &process;
  admin::AdminServer admin(settings.admin, make_hooks(process, certificates, application), for_admin);
  metrics::MemoryCollector memory;
  const int watched_fd = certificates.watched_fd();  // who sees us listen may change the files
  admin.set_ready(true);
  process.start();
  memory.mark();
  std::printf("listening server=%s admin=%s\n", process.addresses().c_str(), admin.address().c_str());
  std::fflush(stdout);
  process.wait({.on_drain = [&admin] { admin.set_ready(false); },
                .on_hangup =
                    [&certificates] {
                      log::reopen();
                      [[maybe_unused]] const auto logged = certificates.reload();
                    },
                .watched_fd = watched_fd,
                .on_readable = [&certificates] { certificates.on_change(); }});
  admin.stop();
}

// Everything that declares metrics, without the threads that serve.
std::string list_metrics(const MakeApplication& make, const Surroundings& surroundings) {
  const Application application = make(surroundings);
  const auto service = application.services.make();
  const core::WorkerMetrics worker;
  const core::ListenerMetrics listener;
  const core::StorageMetrics storage;
  const core::TlsFailureMetrics tls_failures;
  const net::tls::ReloadMetrics tls_reloads("tls");
  const net::tls::ReloadMetrics admin_tls_reloads("admin_tls");
  const admin::AdminMetrics admin;
  const metrics::ProcessCollector process;
  const metrics::MemoryCollector memory;
  return metrics::list();
}

}  // namespace

int launch(int argc, char** argv, const std::string& name, const std::string& summary,
           const std::vector<config::Section*>& sections, const MakeApplication& make) {
  try {
    Settings settings;
    config::Config config(settings.core.server, settings.core.listener, settings.core.worker, settings.core.storage,
                          settings.core.net, settings.tls, settings.admin, settings.admin_tls, settings.log);
    for (config::Section* section : sections) config.add(*section);
    settings.pelikan.add_to(config);
    const config::Invocation invocation = config::parse_command_line(argc, argv, {name, kVersion, summary}, config);
    static_cast<void>(admin::choose_tls(settings.admin, settings.admin_tls, settings.tls));  // --check says it, too
    const SystemClock clock;
    Surroundings surroundings{.settings = settings, .clock = clock};
    if (invocation.action == config::Action::kPrint) {
      std::fputs(invocation.text.c_str(), stdout);
      return 0;
    }
    if (invocation.action == config::Action::kListMetrics) {
      std::fputs(list_metrics(make, surroundings).c_str(), stdout);
      return 0;
    }
    log::configure(settings.log);
    for (const std::string& warning : config.warnings()) log::warn("{}", warning);
    const Application application = make(surroundings);
    serve(config, settings, application, surroundings);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    return config::kExitBadConfig;
  }
}

}  // namespace pelikan::server
