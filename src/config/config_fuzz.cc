// Any bytes as a file: it loads or it is refused in one line; what loaded, printed and loaded again, prints the same.
#include <string>

#include "base/check.h"
#include "config/pelikan_keys.h"

using namespace pelikan;

namespace {

struct Options : config::Section {
  Options() : Section("seg") {}
  config::Option<bool> flag{this, "flag", false, "a flag"};
  config::Option<std::uint64_t> count{this, "count", 4, "a count", config::Range{1, 1000}};
  config::Option<std::int64_t> offset{this, "offset", 0, "an offset"};
  config::Option<double> ratio{this, "ratio", 0.5, "a ratio"};
  config::Option<std::string> word{this, "word", "one", "a word", config::OneOf{"one", "two"}};
  config::Option<std::string> text{this, "text", "", "a text"};
  config::Option<config::Size> size{this, "size", config::kMiB, "a size"};
  config::Option<config::Duration> time{this, "time", config::Duration(100), "a time"};
  config::Option<config::ShortDuration> short_time{this, "short_time", config::ShortDuration(50), "a short time"};
  config::Option<config::List> list{this, "list", {}, "a list"};
};

struct Settings {
  Options options;
  config::PelikanKeys pelikan;
  config::Config config{options};
  Settings() { pelikan.add_to(config); }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Settings settings;
  try {
    settings.config.load_text(bytes, "fuzz.toml");
  } catch (const config::Error& error) {
    const std::string_view message = error.what();
    CHECK(!message.empty() && message.find_first_of("\r\n") == std::string_view::npos && message.size() < 2000);
    return 0;
  }
  const std::string printed = settings.config.print();
  Settings again;
  again.config.load_text(printed, "printed.toml");
  CHECK(again.config.print() == printed);
  return 0;
}
