#include "net/tls/ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

namespace pelikan::net::tls {
namespace {

bool set_mac_key(EVP_MAC_CTX* mac, std::array<unsigned char, 32>& key) {
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.data(), key.size()),
                                   OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                   OSSL_PARAM_construct_end()};
  return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

}  // namespace

TicketKeys::TicketKeys(config::Duration rotation, const Clock& clock)
    : rotation_ns_(static_cast<std::uint64_t>(rotation.count()) * 1'000'000), clock_(clock) {}

TicketKeys::~TicketKeys() {
  current_.wipe();
  previous_.wipe();
}

void TicketKeys::Key::wipe() noexcept {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
  valid = false;
}

void TicketKeys::rotate() {
  const std::uint64_t now = clock_.now().mono_ns;
  if (previous_.valid && now - previous_.made_ns >= 2 * rotation_ns_) previous_.wipe();
  if (current_.valid && now - current_.made_ns < rotation_ns_) return;
  if (current_.valid && now - current_.made_ns < 2 * rotation_ns_) previous_ = current_;
  current_.wipe();
  current_.valid = RAND_bytes(current_.name.data(), static_cast<int>(current_.name.size())) == 1 &&
                   RAND_priv_bytes(current_.cipher.data(), static_cast<int>(current_.cipher.size())) == 1 &&
                   RAND_priv_bytes(current_.mac.data(), static_cast<int>(current_.mac.size())) == 1;
  current_.made_ns = now;
}

bool TicketKeys::seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
  const std::lock_guard lock(mutex_);
  rotate();
  if (!current_.valid || RAND_bytes(iv, kIvBytes) != 1) return false;
  std::memcpy(name, current_.name.data(), kNameBytes);
  return EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, current_.cipher.data(), iv) == 1 &&
         set_mac_key(mac, current_.mac);
}

TicketKeys::Opened TicketKeys::open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
                                    EVP_MAC_CTX* mac) {
  const std::lock_guard lock(mutex_);
  rotate();
  for (Key* key : {&current_, &previous_}) {
    if (!key->valid || std::memcmp(name, key->name.data(), kNameBytes) != 0) continue;
    if (EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key->cipher.data(), iv) != 1 ||
        !set_mac_key(mac, key->mac)) {
      return Opened::kError;
    }
    return key == &current_ ? Opened::kYes : Opened::kYesByOldKey;
  }
  return Opened::kNo;
}

}  // namespace pelikan::net::tls
