#include "admin/pages.h"

namespace pelikan::admin {
namespace {

constexpr const char* kIndex =
    "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Pelikan</title></head><body>\n"
    "<h1>Pelikan</h1>\n<ul>\n"
    "<li><a href=\"/metrics\">/metrics</a>: for Prometheus</li>\n"
    "<li><a href=\"/vars.json\">/vars.json</a>: the same as flat JSON, with recent percentiles</li>\n"
    "<li><a href=\"/healthz\">/healthz</a>: is the process alive?</li>\n"
    "<li><a href=\"/readyz\">/readyz</a>: does it take traffic?</li>\n"
    "</ul>\n</body></html>\n";

}  // namespace

std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

Page page_at(std::string_view target, const Contents& contents) {
  const std::string_view path = path_of(target);
  if (path == "/") return {200, "text/html; charset=utf-8", kIndex};
  if (path == "/metrics") {
    return {200, metrics::kPrometheusContentType, metrics::prometheus_text(metrics::snapshot(), contents.facts)};
  }
  if (path == "/vars.json") {
    return {200, "application/json", metrics::vars_json(metrics::snapshot(), contents.window, contents.facts)};
  }
  if (path == "/healthz") return {.body = "ok\n"};
  if (path == "/readyz") return contents.ready ? Page{.body = "ready\n"} : Page{.status = 503, .body = "not ready\n"};
  return {.status = 404, .body = "no such page; see /\n"};
}

}  // namespace pelikan::admin
