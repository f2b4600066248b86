// The keys of session tickets: the one in use and the one before it.
//
// A ticket is sealed with AES-256-CBC and HMAC-SHA-256. After `rotation` a key makes no more tickets, after another
// `rotation` it opens none, and is wiped: so a ticket is good for `rotation` at least and twice that at most. Ages are
// looked at in handshakes only: while nobody comes, a key that is too old opens nothing, but stays in memory.
// Owner:   shared by the Contexts of one port, as long as those let in the same clients. Threads: any (a mutex, taken
//          once per handshake).
// Failure: no randomness: no ticket is made or opened, the handshake goes on without.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>

#include "base/clock.h"
#include "config/value.h"

struct evp_cipher_ctx_st;
struct evp_mac_ctx_st;

namespace pelikan::net::tls {

class TicketKeys {
 public:
  static constexpr std::size_t kNameBytes = 16;
  static constexpr std::size_t kIvBytes = 16;
  enum class Opened : std::uint8_t { kNo, kYes, kYesByOldKey, kError };

  // REQUIRES: `clock` outlives this.
  TicketKeys(config::Duration rotation, const Clock& clock);
  ~TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;

  // Prepare `cipher` and `mac` to make a ticket (and fill in name and iv), or to open one that has this name and iv.
  [[nodiscard]] bool seal(unsigned char* name, unsigned char* iv, evp_cipher_ctx_st* cipher, evp_mac_ctx_st* mac);
  [[nodiscard]] Opened open(const unsigned char* name, const unsigned char* iv, evp_cipher_ctx_st* cipher,
                            evp_mac_ctx_st* mac);

 private:
  struct Key {
    std::array<unsigned char, kNameBytes> name{};
    std::array<unsigned char, 32> cipher{}, mac{};
    bool valid = false;
    std::uint64_t made_ns = 0;
    void wipe() noexcept;
  };
  void rotate();

  const std::uint64_t rotation_ns_;
  const Clock& clock_;
  std::mutex mutex_;
  Key current_, previous_;  // GUARDED_BY(mutex_)
};

}  // namespace pelikan::net::tls
