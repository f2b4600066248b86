#include "net/tls/session.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <new>
#include <utility>
#include <vector>

#include "base/check.h"
#include "net/tls/admission.h"
#include "net/tls/context.h"
#include "net/tls/explain.h"
#include "net/tls/names.h"
#include "net/tls/wire.h"

namespace pelikan::net::tls {
namespace {

constexpr std::size_t kRecordOverheadMax = 96;  // header, nonce, padding and tag of any cipher
constexpr std::size_t kBareSessionBytesMax = 256;

void append_der(X509* certificate, std::string& out) {
  const int size = certificate == nullptr ? 0 : i2d_X509(certificate, nullptr);
  if (size <= 0) return;
  const std::size_t before = out.size();
  out.resize(before + static_cast<std::size_t>(size));
  auto* at = reinterpret_cast<unsigned char*>(out.data()) + before;
  i2d_X509(certificate, &at);
}

// The session is made anew in place: nothing of it is needed after the tickets were sent, but the cipher and the
// version for who asks. The chains are OpenSSL's own; they are emptied.
void forget_certificates(SSL* ssl) {
  const Handle<SSL_SESSION> bare(SSL_SESSION_new());
  if (!bare || SSL_SESSION_set_protocol_version(bare.get(), SSL_version(ssl)) != 1 ||
      SSL_SESSION_set_cipher(bare.get(), SSL_get_current_cipher(ssl)) != 1)
    return;
  std::array<unsigned char, kBareSessionBytesMax> bytes;
  const int size = i2d_SSL_SESSION(bare.get(), nullptr);
  unsigned char* out = bytes.data();
  if (size <= 0 || static_cast<std::size_t>(size) > bytes.size() || i2d_SSL_SESSION(bare.get(), &out) != size) return;
  const unsigned char* in = bytes.data();
  SSL_SESSION* session = SSL_get_session(ssl);
  if (d2i_SSL_SESSION(&session, &in, size) == nullptr) return;
  for (STACK_OF(X509) * chain : {SSL_get_peer_cert_chain(ssl), SSL_get0_verified_chain(ssl)})
    while (sk_X509_num(chain) > 0) X509_free(sk_X509_pop(chain));
}

}  // namespace

std::unique_ptr<Session> Session::over(Handle<SSL> ssl) {
  auto wire = std::make_unique<Wire>();
  BIO* bio = new_wire_bio(*wire);
  if (bio == nullptr) return nullptr;
  SSL_set_bio(ssl.get(), bio, bio);
  return std::unique_ptr<Session>(new Session(std::move(ssl), std::move(wire)));
}

Session::Session(Handle<SSL> ssl, std::unique_ptr<Wire> wire) : wire_(std::move(wire)), ssl_(std::move(ssl)) {}
Session::~Session() = default;

Session::Progress Session::handshake(std::string_view& bytes, Buffer& wire) {
  CHECK(!wire_->established);
  if (failure_.cause != Cause::kNone) return Progress::kFailed;
  if (!begins_like_tls(bytes)) {
    fail(Cause::kPlainText, peer_called() + " speaks no TLS: its first bytes are no TLS record");
    return Progress::kFailed;
  }
  int result = 0;
  {
    const WireCall call(*wire_, bytes, wire);
    result = SSL_do_handshake(ssl_.get());
  }
  if (result != 1) return waits(result) ? Progress::kMore : Progress::kFailed;
  wire_->established = true;
  return admit() ? Progress::kDone : Progress::kFailed;
}

// Each record begins with its type, then 3. The first is a handshake message, or from a server also an alert.
bool Session::begins_like_tls(std::string_view bytes) {
  constexpr char kAlert = 0x15, kHandshake = 0x16, kVersionMajor = 0x03;
  for (; first_bytes_ < 2 && !bytes.empty(); ++first_bytes_, bytes.remove_prefix(1)) {
    const char byte = bytes.front();
    const bool type_fits = byte == kHandshake || (byte == kAlert && !SSL_is_server(ssl_.get()));
    if (first_bytes_ == 0 ? !type_fits : byte != kVersionMajor) return false;
  }
  return true;
}

// What OpenSSL and the callbacks have seen to is looked at again: whatever happened, nobody comes in without.
bool Session::admit() {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  const Admission* admission = Admission::of(SSL_get_SSL_CTX(ssl_.get()));
  if (admission == nullptr || !admission->certificate_required()) {
    if (certificate != nullptr) peer_ = name_shown(certificate);
    return true;
  }
  if (certificate == nullptr || SSL_get_verify_result(ssl_.get()) != X509_V_OK) {
    fail(Cause::kNoCertificate, "the client has no verified certificate");
    return false;
  }
  std::optional<std::string> name = admission->name_admitted(certificate);
  if (!name) {
    fail(Cause::kNotAllowed,
         "the certificate of client " + name_shown(certificate) + ": no name in it is on the allow-list");
    return false;
  }
  peer_ = std::move(*name);
  pack_certificates();
  return true;
}

void Session::pack_certificates() {
  std::string der;
  append_der(SSL_get0_peer_certificate(ssl_.get()), der);
  const STACK_OF(X509)* sent = SSL_get_peer_cert_chain(ssl_.get());
  for (int i = 0; i < sk_X509_num(sent); ++i) append_der(sk_X509_value(sent, i), der);
  forget_certificates(ssl_.get());
  certificates_ = std::string(der);  // a copy is no larger than it must be
}

bool Session::waits(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (wire_->no_memory) {
    fail(Cause::kResources, "no memory to send");
  } else if (wire_->renegotiation) {
    fail(Cause::kRenegotiation, peer_called() + " asked for a new handshake, which is not allowed");
  } else if (wire_->stopped()) {
    fail(Cause::kProtocol, peer_called() + " sent too many TLS messages and no data");
  } else if (error == SSL_ERROR_WANT_READ) {
    return true;
  } else {
    failure_ = explain(ssl_.get(), peer_called());
  }
  return false;
}

Session::Progress Session::receive(std::string_view& bytes, std::span<char> scratch, std::string_view& plain,
                                   Buffer& wire) {
  CHECK(wire_->established && scratch.size() >= kPlainBytesMax);
  plain = {};
  if (failure_.cause != Cause::kNone) return Progress::kFailed;
  if (bytes.empty() && SSL_has_pending(ssl_.get()) == 0) return Progress::kMore;  // spares OpenSSL's way to this
  std::size_t count = 0;
  int result = 0;
  {
    const WireCall call(*wire_, bytes, wire);
    result = SSL_read_ex(ssl_.get(), scratch.data(), scratch.size(), &count);
  }
  if (result == 1) {
    if (wire_->steps > 0) --wire_->steps;
    plain = {scratch.data(), count};
    return Progress::kMore;
  }
  if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) {
    bytes = {};
    return Progress::kDone;
  }
  return waits(result) ? Progress::kMore : Progress::kFailed;
}

bool Session::send(std::string_view plain, Buffer& wire) {
  CHECK(wire_->established);
  if (failure_.cause != Cause::kNone) return false;
  if (plain.empty()) return true;
  // Grown once, not with each record.
  static_cast<void>(wire.prepare(plain.size() + (plain.size() / kPlainBytesMax + 1) * kRecordOverheadMax));
  std::string_view nothing;
  std::size_t count = 0;
  const WireCall call(*wire_, nothing, wire);
  const int result = SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &count);
  if (result == 1) return true;
  if (waits(result)) fail(Cause::kResources, "OpenSSL did not write");  // the BIO takes everything
  return false;
}

void Session::finish(Buffer& wire) {
  if (!wire_->established || failure_.cause != Cause::kNone) return;
  std::string_view nothing;
  const WireCall call(*wire_, nothing, wire);
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

bool Session::release_buffers() noexcept { return SSL_free_buffers(ssl_.get()) == 1; }

const char* Session::version() const noexcept { return SSL_get_version(ssl_.get()); }
const char* Session::cipher() const noexcept { return SSL_get_cipher_name(ssl_.get()); }
bool Session::resumed() const noexcept { return SSL_session_reused(ssl_.get()) == 1; }

bool Session::still_admitted(const Context& context, Failure& why) const {
  std::vector<Handle<X509>> certificates;
  const auto* at = reinterpret_cast<const unsigned char*>(certificates_.data());
  const auto* end = at + certificates_.size();
  while (at != end) {
    certificates.emplace_back(d2i_X509(nullptr, &at, end - at));
    if (certificates.back() == nullptr) break;  // no memory
  }
  const std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)> issuers(
      sk_X509_new_null(), [](STACK_OF(X509) * stack) { sk_X509_free(stack); });
  for (std::size_t i = 1; i < certificates.size(); ++i) sk_X509_push(issuers.get(), certificates[i].get());
  X509* own = certificates.empty() ? nullptr : certificates.front().get();
  return Admission::of(context.native())->admits(context.native(), own, issuers.get(), why);
}

std::string Session::peer_called() const {
  return peer_.empty() || !SSL_is_server(ssl_.get()) ? tls::peer_called(ssl_.get()) : "client " + peer_;
}

void Session::fail(Cause cause, std::string text) { failure_ = {cause, std::move(text)}; }

}  // namespace pelikan::net::tls
