#include "net/tls/credentials.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <filesystem>
#include <utility>

namespace pelikan::net::tls {
namespace {

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

}  // namespace

Credentials::Credentials(const TlsOptions& options, const Clock& clock)
    : options_(options), clock_(clock), metrics_(options.name()) {
  put_in_force(Context::load(options, clock));
}

Credentials::~Credentials() = default;

std::shared_ptr<const Context> Credentials::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

std::expected<Reloaded, std::string> Credentials::reload() {
  const std::lock_guard one_at_a_time(reload_mutex_);
  const std::shared_ptr<const Context> old = current();
  std::shared_ptr<const Context> loaded;
  try {
    loaded = Context::load(options_, clock_, old.get());
  } catch (const std::exception& error) {
    metrics_.reload_ex.add();
    return std::unexpected(error.what());
  }
  metrics_.reload.add();
  if (loaded->fingerprint() == old->fingerprint()) return Reloaded::kUnchanged;
  const bool trust_changed = loaded->trust_fingerprint() != old->trust_fingerprint();
  put_in_force(std::move(loaded));
  metrics_.swap.add();
  return trust_changed ? Reloaded::kTrustChanged : Reloaded::kSwapped;
}

void Credentials::put_in_force(std::shared_ptr<const Context> context) {
  metrics_.not_after.set(context->not_after());
  metrics_.lists_end.set(context->lists_end());
  const std::lock_guard lock(mutex_);
  current_ = std::move(context);
}

std::vector<std::string> Credentials::directories() const {
  std::vector<std::string> found;
  for (const auto* file : {&options_.certificate, &options_.certificate_chain, &options_.private_key, &options_.ca_file,
                           &options_.crl_file}) {
    if (!(*file)().empty()) add_directories((*file)(), found);
  }
  std::ranges::sort(found);
  found.erase(std::ranges::unique(found).begin(), found.end());
  return found;
}

}  // namespace pelikan::net::tls
