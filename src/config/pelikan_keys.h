// The keys of Pelikan's own configuration files that have no meaning here. With this part of a server's settings such
// files load unchanged, with one warning for each such key. Where a module declares an option of the same name, the
// option wins. The section [tls] is known and has no key here: a server must not take a private key and then speak
// plain text.
#pragma once

#include "config/config.h"

namespace pelikan::config {

struct PelikanKeys {
  // A section in which every key is ignored.
  struct IgnoredSection : Section {
    IgnoredSection(std::string_view name, std::string_view why) : Section(name), any(this, "*", why) {}
    Ignored any;
  };
  struct Top : Section {
    Top() : Section("") {}
    Ignored daemonize{this, "daemonize", "the server stays in the foreground; use a service manager"};
    Ignored pid_filename{this, "pid_filename", "use a service manager"};
    Ignored dlog_interval{this, "dlog_interval", "the log is written at once"};
  };
  struct Loop : Section {
    explicit Loop(std::string_view name) : Section(name) {}
    Ignored timeout{this, "timeout", "the event loop wakes when there is work"};
    Ignored nevent{this, "nevent", "the event loop sizes itself"};
  };
  struct Admin : Loop {
    static constexpr std::string_view kOnePort = "text and HTTP share the admin port";
    static constexpr std::string_view kTimers = "there is no timer wheel to tune";
    Admin() : Loop("admin") {}
    Ignored http_enabled{this, "http_enabled", kOnePort};
    Ignored http_host{this, "http_host", kOnePort};
    Ignored http_port{this, "http_port", kOnePort};
    Ignored tw_tick{this, "tw_tick", kTimers};
    Ignored tw_cap{this, "tw_cap", kTimers};
    Ignored tw_ntick{this, "tw_ntick", kTimers};
  };
  struct Seg : Section {
    Seg() : Section("seg") {}
    Ignored overflow_factor{this, "overflow_factor", "the index grows by itself"};
    Ignored admission_ratio{this, "admission_ratio", "the small queue of seger has a fixed part of the heap"};
  };
  struct Debug : Section {
    static constexpr std::string_view kRotation = "rotate with logrotate and SIGHUP";
    Debug() : Section("debug") {}
    Ignored log_backup{this, "log_backup", kRotation};
    Ignored log_max_size{this, "log_max_size", kRotation};
    Ignored log_rotation_interval{this, "log_rotation_interval", kRotation};
    Ignored log_max_keep_files{this, "log_max_keep_files", kRotation};
  };

  Top top;
  IgnoredSection general{"general", "there is one engine and one protocol"};
  IgnoredSection metrics{"metrics", "metrics are read when they are asked for"};
  Admin admin;
  Loop server{"server"}, worker{"worker"};
  Seg seg;
  Debug debug;
  IgnoredSection time{"time", "this server knows no TTLs"};
  IgnoredSection klog{"klog", "this server keeps no command log"};
  IgnoredSection buf{"buf", "buffers size themselves"}, dbuf{"dbuf", "buffers size themselves"};
  IgnoredSection sockio{"sockio", "buffers size themselves"}, array{"array", "arrays size themselves"};
  IgnoredSection tcp{"tcp", "connections are not pooled"};
  IgnoredSection stats_log{"stats_log", "read metrics from the admin port"};
  Section tls{"tls"};

  void add_to(Config& config) {
    for (Section* section :
         std::initializer_list<Section*>{&top, &general, &metrics, &admin, &server, &worker, &seg, &debug, &time, &klog,
                                         &buf, &dbuf, &sockio, &array, &tcp, &stats_log, &tls}) {
      config.add(*section);
    }
  }
};

}  // namespace pelikan::config
