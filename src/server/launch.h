// What every server's main does: settings, log, process, admin port, signals, and the exit code.
//
// Owner: main. Failure while starting: one line on stderr, exit 78.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin/admin.h"
#include "base/clock.h"
#include "config/command_line.h"
#include "config/pelikan_keys.h"
#include "core/options.h"
#include "core/process.h"
#include "core/service.h"
#include "log/log.h"
#include "net/tls/options.h"

namespace pelikan::server {

inline constexpr const char* kVersion = "0.1.0";

// The settings that every server has. A server adds sections of its own.
struct Settings {
  core::CoreOptions core;
  admin::AdminOptions admin;
  log::LogOptions log;
  net::tls::TlsOptions tls;
  net::tls::TlsOptions admin_tls{"admin_tls"};
  config::PelikanKeys pelikan;
};

// What the application may ask about the process around it. `process` is null until it runs.
struct Surroundings {
  Settings& settings;  // may still be changed when the application is made
  const Clock& clock;
  core::Process* process = nullptr;
};

// What a server adds to the framework.
struct Application {
  core::Services services;
  // Both run where requests are executed.
  std::function<void()> flush_all = {};        // none: there is nothing to flush
  std::function<std::string()> segments = {};  // the admin port's `stats segments`
};

using MakeApplication = std::function<Application(const Surroundings&)>;

// Returns main's exit code. `sections` are the application's own settings; `make` is called when they are loaded.
[[nodiscard]] int launch(int argc, char** argv, const std::string& name, const std::string& summary,
                         const std::vector<config::Section*>& sections, const MakeApplication& make);

}  // namespace pelikan::server
