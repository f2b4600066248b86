#include "net/tls/wire.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace pelikan::net::tls {
namespace {

int on_read(BIO* bio, char* out, std::size_t size, std::size_t* count) {
  BIO_clear_retry_flags(bio);
  Wire& wire = *static_cast<Wire*>(BIO_get_data(bio));
  *count = wire.stopped() ? 0 : std::min(size, wire.in.size());
  if (*count == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(out, wire.in.data(), *count);
  wire.in.remove_prefix(*count);
  return 1;
}

int on_write(BIO* bio, const char* bytes, std::size_t size, std::size_t* count) {
  BIO_clear_retry_flags(bio);
  Wire& wire = *static_cast<Wire*>(BIO_get_data(bio));
  *count = 0;
  try {  // between us and the caller are functions of C
    wire.out->append({bytes, size});
  } catch (const std::bad_alloc&) {
    wire.no_memory = true;
    return 0;
  }
  *count = size;
  return 1;
}

long on_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

// Made once and kept: BIOs refer to it for as long as there are any.
BIO_METHOD* method() {
  static BIO_METHOD* const instance = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pelikan wire");
    if (made != nullptr) {
      BIO_meth_set_read_ex(made, on_read);
      BIO_meth_set_write_ex(made, on_write);
      BIO_meth_set_ctrl(made, on_control);
    }
    return made;
  }();
  return instance;
}

void on_event(const SSL* ssl, int where, int value) {
  Wire* wire = static_cast<Wire*>(BIO_get_data(SSL_get_rbio(ssl)));
  constexpr int kWarningNoRenegotiation = SSL3_AL_WARNING << 8 | SSL_AD_NO_RENEGOTIATION;
  if ((where & SSL_CB_WRITE_ALERT) == SSL_CB_WRITE_ALERT && value == kWarningNoRenegotiation)
    wire->renegotiation = true;
  if ((where & SSL_CB_LOOP) != 0 && wire->established) ++wire->steps;
}

}  // namespace

WireCall::WireCall(Wire& wire, std::string_view& in, Buffer& out) noexcept : wire_(wire), in_(in) {
  wire_.in = in;
  wire_.out = &out;
  if (ERR_peek_error() != 0) ERR_clear_error();  // four times as dear: it walks over all places of the queue
}

WireCall::~WireCall() {
  in_ = wire_.in;
  wire_.in = {};
  wire_.out = nullptr;
}

BIO* new_wire_bio(Wire& wire) {
  BIO* bio = method() == nullptr ? nullptr : BIO_new(method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &wire);
  BIO_set_init(bio, 1);
  return bio;
}

void watch_messages(SSL_CTX* context) { SSL_CTX_set_info_callback(context, on_event); }

}  // namespace pelikan::net::tls
