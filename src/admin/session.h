// One connection to the admin port. Owner: the coroutine that serves it. Threads: the admin thread.
#pragma once

#include <boost/beast/core/flat_buffer.hpp>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "admin/channel.h"
#include "admin/port.h"

namespace pelikan::admin {

struct AdminServer::Port::Session {
  static constexpr std::size_t kReadBytes = 1024;  // at once, so never more than this behind what is parsed
  static constexpr std::size_t kMaxHeaderBytes = 8 * 1024;

  Session(boost::asio::ip::tcp::socket socket, std::shared_ptr<const net::tls::Context> context, BufferPool& pool)
      : channel(std::move(socket), std::move(context), pool), wait(channel.get_executor()) {}

  [[nodiscard]] std::string_view received() const {
    return {static_cast<const char*>(buffer.data().data()), buffer.size()};
  }

  // The port knows a session for as long as it is served, so that stopping can end it.
  class Membership {
   public:
    Membership(Session& session, std::set<Session*>& sessions, metrics::Gauge& count)
        : session_(session), sessions_(sessions), count_(count) {
      sessions_.insert(&session_);
      count_.add(1);
    }
    ~Membership() {
      sessions_.erase(&session_);
      count_.add(-1);
    }
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;

   private:
    Session& session_;
    std::set<Session*>& sessions_;
    metrics::Gauge& count_;
  };

  Channel channel;
  boost::asio::steady_timer wait;  // for an answer from another thread
  boost::beast::flat_buffer buffer{2 * kMaxHeaderBytes};
};

}  // namespace pelikan::admin
