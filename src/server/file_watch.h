// Tells when a file may have changed in one of some directories (inotify). Directories, not files: Kubernetes replaces
// a symbolic link beside them, editors and certbot put a new file under the old name.
// Owner:   main. Threads: watch() on any, one at a time; the rest on one.
// Limits:  what happens while nobody looks is told once.
// Failure: a directory that cannot be watched is logged and left out; HUP remains.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "net/fd.h"

namespace pelikan::server {

class FileWatch {
 public:
  FileWatch();

  // Readable when something has changed.
  [[nodiscard]] int fd() const noexcept { return inotify_.get(); }
  // From now on these directories, and no others.
  void watch(const std::vector<std::string>& directories);
  // Forgets what has happened; waits until nothing more happens for kQuietMs (a key often follows its certificate), at
  // most kSettleMs.
  void settle();

 private:
  static constexpr int kQuietMs = 50;
  static constexpr int kSettleMs = 500;

  net::Fd inotify_;
  std::map<std::string, int> watches_;  // by directory
};

}  // namespace pelikan::server
