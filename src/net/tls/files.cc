#include "net/tls/files.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <new>
#include <stdexcept>
#include <utility>

#include "net/tls/names.h"

namespace pelikan::net::tls {
namespace {

struct FileDescriptor {
  int value;
  explicit FileDescriptor(int fd) : value(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (value >= 0) close(value);
  }
};

constexpr int kLinksMax = 40;

// Adds the directory of `path` and that of every symbolic link on the way to it.
void add_directories(const std::filesystem::path& path, std::vector<std::string>& found) {
  namespace fs = std::filesystem;
  std::error_code ignored;  // what is not there yet is looked for where it would be
  const fs::path absolute = fs::absolute(path, ignored);
  std::deque<fs::path> todo(absolute.begin(), absolute.end());
  fs::path at;
  for (int links = 0; !todo.empty() && links < kLinksMax;) {
    const fs::path name = todo.front();
    todo.pop_front();
    if (name.empty() || name == ".") continue;
    const fs::file_status status = fs::symlink_status(at / name, ignored);
    if (fs::is_symlink(status)) {
      ++links;
      found.push_back(at.string());
      const fs::path target = fs::read_symlink(at / name, ignored);
      todo.insert(todo.begin(), target.begin(), target.end());
    } else if (name == "..") {
      at = at.parent_path();
    } else if (fs::is_directory(status)) {
      at /= name;  // "/", with which an absolute target begins, replaces all before it
    } else {
      found.push_back(at.string());
      return;
    }
  }
}

// Never asks on the terminal; says that it was called.
int refuse_password(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

}  // namespace

PemFile::PemFile(std::string setting, std::string path) : setting_(std::move(setting)), path_(std::move(path)) {
  const auto fail_errno = [&] { fail(std::string("cannot be read: ") + std::strerror(errno)); };
  const FileDescriptor fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status{};
  if (fd.value < 0 || fstat(fd.value, &status) != 0) fail_errno();
  if (!S_ISREG(status.st_mode)) fail("is no regular file");
  if (static_cast<std::size_t>(status.st_size) > kPemBytesMax) fail("is larger than 16 MiB");
  // A file that grows meanwhile is read as far as it was.
  contents_.resize(static_cast<std::size_t>(status.st_size));
  std::size_t size = 0;
  while (size < contents_.size()) {
    const ssize_t count = read(fd.value, contents_.data() + size, contents_.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno();
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  contents_.resize(size);
}

PemFile::~PemFile() { OPENSSL_cleanse(contents_.data(), contents_.size()); }

void PemFile::fail(const std::string& what) const {
  throw std::runtime_error(setting_ + ": " + clean(path_) + ": " + what);
}

Handle<BIO> PemFile::open() const {
  ERR_clear_error();
  Handle<BIO> bio(BIO_new_mem_buf(contents_.data(), static_cast<int>(contents_.size())));
  if (!bio) throw std::bad_alloc();
  return bio;
}

template <class T>
std::vector<Handle<T>> PemFile::all(T* (*read)(BIO*, T**, pem_password_cb*, void*), const char* kind) const {
  const Handle<BIO> bio = open();
  std::vector<Handle<T>> found;
  bool asked = false;
  while (T* one = read(bio.get(), nullptr, refuse_password, &asked)) found.emplace_back(one);
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (!at_end)
    fail(std::string(kind) + " number " + std::to_string(found.size() + 1) + " is damaged: " + openssl_reason());
  if (found.empty()) fail(std::string("holds no ") + kind + " in PEM form");
  ERR_clear_error();
  return found;
}

std::vector<Handle<X509>> PemFile::certificates() const { return all<X509>(PEM_read_bio_X509, "certificate"); }

std::vector<Handle<X509_CRL>> PemFile::revocation_lists() const {
  return all<X509_CRL>(PEM_read_bio_X509_CRL, "revocation list");
}

Handle<EVP_PKEY> PemFile::private_key() const {
  const Handle<BIO> bio = open();
  bool asked = false;
  Handle<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_password, &asked));
  if (asked) fail("the key is encrypted, and nobody is there to type a password: decrypt it with `openssl pkey`");
  if (!key) fail("holds no private key in PEM form (" + openssl_reason() + ")");
  ERR_clear_error();
  return key;
}

Fingerprint::Fingerprint() : digest_(EVP_MD_CTX_new()) {
  if (digest_ == nullptr || EVP_DigestInit_ex(digest_, EVP_sha256(), nullptr) != 1) throw std::bad_alloc();
}

Fingerprint::~Fingerprint() { EVP_MD_CTX_free(digest_); }

void Fingerprint::add(std::string_view text) {
  const std::uint64_t size = text.size();  // so that "ab" "c" is not "a" "bc"
  if (EVP_DigestUpdate(digest_, &size, sizeof size) != 1 || EVP_DigestUpdate(digest_, text.data(), text.size()) != 1)
    throw std::bad_alloc();
}

std::uint64_t Fingerprint::value() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  if (EVP_DigestFinal_ex(digest_, digest.data(), nullptr) != 1) throw std::bad_alloc();
  std::uint64_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

std::vector<std::string> directories_of(const std::vector<std::string>& files) {
  std::vector<std::string> found;
  for (const std::string& file : files) add_directories(file, found);
  std::ranges::sort(found);
  found.erase(std::ranges::unique(found).begin(), found.end());
  return found;
}

std::string openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string text = reason == nullptr ? "no reason given" : reason;
  ERR_clear_error();
  return text;
}

}  // namespace pelikan::net::tls
