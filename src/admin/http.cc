// The HTTP half of the admin port.
#include <fmt/format.h>

#include <boost/beast/http.hpp>
#include <sstream>

#include "admin/pages.h"
#include "admin/port.h"
#include "admin/session.h"
#include "config/value.h"
#include "log/log.h"

namespace pelikan::admin {
namespace {

namespace http = boost::beast::http;

using Parser = http::request_parser<http::empty_body>;

bool is_get_or_head(http::verb method) { return method == http::verb::get || method == http::verb::head; }

std::string_view view(boost::beast::string_view text) { return {text.data(), text.size()}; }

// Did a page of another web site make a browser send this? Browsers name the page's site in Origin; tools send none.
bool is_from_elsewhere(const Parser::value_type& request) {
  if (request.count(http::field::origin) == 0) return false;
  const std::string origin = config::lower(view(request[http::field::origin]));
  const std::string host = config::lower(view(request[http::field::host]));
  return request.count(http::field::origin) > 1 || request.count(http::field::host) != 1 || host.empty() ||
         (origin != "http://" + host && origin != "https://" + host);
}

// What is wrong with a request, as far as its header tells; nothing if it can be answered.
std::optional<Page> refusal(const Parser& parser, const boost::system::error_code& error, bool has_tls) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return Page{.status = 431, .body = "header too long\n"};
  if (error && error != http::error::body_limit) return Page{.status = 400, .body = "bad request\n"};
  const http::verb method = parser.get().method();
  if (path_of(view(parser.get().target())) == kReloadPath) {
    if (!has_tls) return Page{.status = 404, .body = "nothing here speaks TLS\n"};
    if (method != http::verb::post) return Page{.status = 405, .body = "POST only\n", .allow = "POST"};
    if (is_from_elsewhere(parser.get())) return Page{.status = 403, .body = "not from another site's page\n"};
  } else if (!is_get_or_head(method)) {
    return Page{.status = 405, .body = "GET or HEAD only\n", .allow = "GET, HEAD"};
  }
  if (error || !parser.is_done()) return Page{.status = 413, .body = "no body is taken\n"};
  return std::nullopt;
}

std::string respond(Page page, const Parser& parser, bool keep_alive) {
  http::response<http::string_body> response;
  response.version(parser.get().version() == 10 ? 10 : 11);
  response.result(page.status);
  response.set(http::field::content_type, page.content_type);
  response.set(http::field::cache_control, "no-store");
  if (page.status == 405) response.set(http::field::allow, page.allow);
  response.keep_alive(keep_alive);
  response.content_length(page.body.size());
  if (parser.get().method() != http::verb::head) response.body() = std::move(page.body);
  std::ostringstream text;
  text << response;
  return std::move(text).str();
}

}  // namespace

AdminServer::Port::Task<> AdminServer::Port::serve_http(Session& session) {
  for (bool keep_alive = true; keep_alive;) {
    Parser parser;
    parser.header_limit(Session::kMaxHeaderBytes);
    parser.body_limit(0);
    session.channel.expires_after(timeout_);
    boost::system::error_code error = http::error::need_more;
    for (;;) {
      if (session.buffer.size() > 0) session.buffer.consume(parser.put(session.buffer.data(), error));
      if (parser.is_header_done() || error != http::error::need_more) break;
      if (!co_await fill(session)) co_return;
    }
    metrics_.request_parse.add();
    if (!still_admitted(session)) break;
    std::optional<Page> page = refusal(parser, error, hooks_.reload_tls != nullptr);
    keep_alive = !page && parser.get().keep_alive();
    if (!page) {
      const std::string_view target = view(parser.get().target());
      if (path_of(target) == kReloadPath) {
        page = co_await reload_tls(session);
      } else {
        page = page_at(target, {hooks_.facts, window_, ready_.load(std::memory_order_relaxed)});
      }
    }
    if (!co_await send(session, respond(std::move(*page), parser, keep_alive))) co_return;
  }
  co_await part(session);
}

AdminServer::Port::Task<Page> AdminServer::Port::reload_tls(Session& session) {
  static log::Limit limit;
  const std::string_view identity = session.channel.identity();
  log::limited(limit, log::Level::kInfo, "admin: {}{}{} asks for the certificates to be read again",
               session.channel.client(), identity.empty() ? "" : " ", identity);
  const std::optional<Answer> answer = co_await ask(session, hooks_.reload_tls);
  if (!answer) co_return Page{.status = 500, .body = "not done in time\n"};
  Page page{.status = *answer ? 200U : 500U, .body = *answer ? **answer : answer->error()};
  if (!page.body.ends_with('\n')) page.body += '\n';
  co_return page;
}

}  // namespace pelikan::admin
