// The HTTP half of the admin port.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http.hpp>

#include "admin/pages.h"
#include "admin/port.h"
#include "admin/session.h"

namespace pelikan::admin {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

using Parser = http::request_parser<http::empty_body>;

constexpr auto kValues = asio::as_tuple(asio::use_awaitable);

bool is_get_or_head(http::verb method) { return method == http::verb::get || method == http::verb::head; }

// What is wrong with a request, as far as its header tells; nothing if it can be answered.
std::optional<Page> refusal(const Parser& parser, const boost::system::error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow)
    return Page{.status = 431, .body = "header too long\n"};
  if (error && error != http::error::body_limit) return Page{.status = 400, .body = "bad request\n"};
  if (!is_get_or_head(parser.get().method())) return Page{.status = 405, .body = "GET or HEAD only\n"};
  if (error || !parser.is_done()) return Page{.status = 413, .body = "no body is taken\n"};
  return std::nullopt;
}

http::response<http::string_body> respond(Page page, const Parser& parser, bool keep_alive) {
  http::response<http::string_body> response;
  response.version(parser.get().version() == 10 ? 10 : 11);
  response.result(page.status);
  response.set(http::field::content_type, page.content_type);
  response.set(http::field::cache_control, "no-store");
  if (page.status == 405) response.set(http::field::allow, "GET, HEAD");
  response.keep_alive(keep_alive);
  response.content_length(page.body.size());
  if (parser.get().method() != http::verb::head) response.body() = std::move(page.body);
  return response;
}

}  // namespace

AdminServer::Port::Task<> AdminServer::Port::serve_http(Session& session) {
  for (bool keep_alive = true; keep_alive;) {
    Parser parser;
    parser.header_limit(Session::kMaxHeaderBytes);
    parser.body_limit(0);
    session.stream.expires_after(timeout_);
    const auto [error, size] = co_await http::async_read_header(session.stream, session.buffer, parser, kValues);
    if (error == http::error::end_of_stream || stopping_) co_return;
    if (error && error.category() != http::make_error_code(http::error::bad_method).category()) {
      metrics_.event_error.add();  // the connection broke or the client was too slow
      co_return;
    }
    metrics_.request_parse.add();
    std::optional<Page> page = refusal(parser, error);
    keep_alive = !page && parser.get().keep_alive();
    if (!page) {
      page = page_at({parser.get().target().data(), parser.get().target().size()},
                     {hooks_.facts, window_, ready_.load(std::memory_order_relaxed)});
    }
    const http::response<http::string_body> response = respond(std::move(*page), parser, keep_alive);
    session.stream.expires_after(timeout_);
    const auto [failure, sent] = co_await http::async_write(session.stream, response, kValues);
    (failure ? metrics_.event_error : metrics_.response_compose).add();
    if (failure) co_return;
  }
  co_await part(session);
}

}  // namespace pelikan::admin
