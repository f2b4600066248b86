// Listening and naming, and each way it can fail: one line that names the address.
#include "net/socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>
#include <stdexcept>

#include "net/loop_test_kit.h"

namespace pelikan::net {
namespace {

using namespace testing;

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "no error";
}

std::uint16_t port_of(const std::string& name) {
  return static_cast<std::uint16_t>(std::stoi(name.substr(name.rfind(':') + 1)));
}

TEST(Socket, TcpNamesAndConnections) {
  for (const std::string host : {"127.0.0.1", "localhost", "::1"}) {
    SCOPED_TRACE(host);
    const Listening listening = listen_tcp(host, 0, 8);
    const std::uint16_t port = port_of(listening.name);
    EXPECT_NE(port, 0);
    EXPECT_EQ(listening.name, local_name(listening.fd.get()));
    EXPECT_TRUE(listening.name.starts_with("127.0.0.1:") || listening.name.starts_with("[::1]:")) << listening.name;
    const Fd client = connect_tcp(host, port);
    EXPECT_EQ(peer_name(client.get()), listening.name);
    const Fd accepted(::accept(listening.fd.get(), nullptr, nullptr));
    EXPECT_EQ(peer_name(accepted.get()), local_name(client.get()));
    EXPECT_EQ(unread_bytes(accepted.get()), 0u);
    ASSERT_EQ(::send(client.get(), "12345", 5, 0), 5);
    char byte = 0;
    ASSERT_EQ(::recv(accepted.get(), &byte, 1, 0), 1);
    EXPECT_EQ(unread_bytes(accepted.get()), 4u);
  }
}

TEST(Socket, AllAddressesWhenNoHostIsGiven) {
  const Listening listening = listen_tcp("", 0, 8);
  EXPECT_TRUE(connect_tcp("127.0.0.1", port_of(listening.name)));
}

TEST(Socket, TcpErrorsNameTheAddress) {
  const Listening taken = listen_tcp("127.0.0.1", 0, 8);
  const std::string in_use = error_of([&] { static_cast<void>(listen_tcp("127.0.0.1", port_of(taken.name), 8)); });
  EXPECT_TRUE(in_use.starts_with("cannot listen on " + taken.name + ": address in use")) << in_use;
  EXPECT_EQ(error_of([] { static_cast<void>(listen_tcp("192.0.2.1", 0, 8)); }),
            "cannot listen on 192.0.2.1:0: this machine has no such address");
  EXPECT_TRUE(error_of([] {
                static_cast<void>(listen_tcp("no such host", 0, 8));
              }).starts_with("cannot resolve 'no such host': "));
  const std::uint16_t free_port = port_of(listen_tcp("127.0.0.1", 0, 8).name);
  EXPECT_EQ(error_of([&] { static_cast<void>(connect_tcp("127.0.0.1", free_port)); }),
            "cannot connect to 127.0.0.1:" + std::to_string(free_port) + ": Connection refused");
}

TEST(Socket, APortIsFreeAgainAtOnce) {
  Listening listening = listen_tcp("127.0.0.1", 0, 8);
  const std::uint16_t port = port_of(listening.name);
  const Fd client = connect_tcp("127.0.0.1", port);
  Fd(::accept(listening.fd.get(), nullptr, nullptr)).reset();  // our side waits for late packets
  listening.fd.reset();
  EXPECT_EQ(port_of(listen_tcp("127.0.0.1", port, 8).name), port);
}

TEST(Socket, UnixModeAndNames) {
  const std::string path = temporary_path();
  const Listening listening = listen_unix(path, 0620, 8);
  EXPECT_EQ(listening.name, "unix:" + path);
  EXPECT_EQ(local_name(listening.fd.get()), "unix:" + path);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0620U);
  const Fd client = connect_unix(path);
  const Fd accepted(::accept(listening.fd.get(), nullptr, nullptr));
  EXPECT_EQ(peer_name(accepted.get()), "unix:");
  set_no_delay(accepted.get());  // no effect, no harm
  ::unlink(path.c_str());
}

TEST(Socket, UnixRemovesOnlyWhatIsStale) {
  const std::string path = temporary_path();
  {
    const Listening gone = listen_unix(path, 0600, 8);
  }
  const Listening alive = listen_unix(path, 0600, 8);  // over the file that was left behind
  EXPECT_EQ(error_of([&] { static_cast<void>(listen_unix(path, 0600, 8)); }),
            "unix socket " + path + ": address in use: another server runs there");
  EXPECT_TRUE(connect_unix(path)) << "the live one is untouched";
  ::unlink(path.c_str());
  std::ofstream(path) << "precious";
  EXPECT_EQ(error_of([&] { static_cast<void>(listen_unix(path, 0600, 8)); }),
            "unix socket " + path + ": there is a file that is no socket");
  ::unlink(path.c_str());
}

TEST(Socket, UnixPathLimits) {
  for (const std::size_t length : {std::size_t{0}, std::size_t{108}, std::size_t{5000}}) {
    const std::string path(length, 'p');
    EXPECT_EQ(error_of([&] { static_cast<void>(listen_unix(path, 0600, 8)); }),
              "unix socket path '" + path + "' must have 1 to 107 bytes");
  }
  EXPECT_EQ(error_of([] { static_cast<void>(listen_unix("/no/such/folder/s", 0600, 8)); }),
            "cannot listen on unix socket /no/such/folder/s: No such file or directory");
  EXPECT_EQ(error_of([] { static_cast<void>(connect_unix("/no/such/folder/s")); }),
            "cannot connect to unix:/no/such/folder/s: No such file or directory");
}

TEST(Socket, NamesOfWhatIsNoSocket) {
  EXPECT_EQ(peer_name(-1), "unknown");
  EXPECT_EQ(local_name(0), "unknown");
  EXPECT_EQ(unread_bytes(-1), 0u);
}

}  // namespace
}  // namespace pelikan::net
