#include "server/file_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <set>

#include "log/log.h"

namespace pelikan::server {

FileWatch::FileWatch() : inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  if (!inotify_) log::warn("files are not watched: {}; after a change send HUP", std::strerror(errno));
}

void FileWatch::watch(const std::vector<std::string>& directories) {
  constexpr std::uint32_t kChanges = IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR;
  std::map<std::string, int> watches;
  std::set<int> kept;
  for (const std::string& directory : directories) {
    // A directory that was removed and made anew gets a new number, one that is still there keeps its own.
    const int number = ::inotify_add_watch(inotify_.get(), directory.c_str(), kChanges);
    if (number < 0) {
      log::warn("{} is not watched: {}; after a change send HUP", directory, std::strerror(errno));
      continue;
    }
    watches[directory] = number;
    kept.insert(number);
  }
  for (const auto& [directory, number] : watches_) {
    if (!kept.contains(number)) ::inotify_rm_watch(inotify_.get(), number);
  }
  watches_ = std::move(watches);
}

void FileWatch::settle() {
  std::array<char, 4096> events;
  for (int waited_ms = 0; waited_ms <= kSettleMs; waited_ms += kQuietMs) {
    while (::read(inotify_.get(), events.data(), events.size()) > 0) {
    }
    pollfd waiting{.fd = inotify_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, kQuietMs) == 0) return;
  }
}

}  // namespace pelikan::server
