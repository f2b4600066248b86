// Settings, declared once beside the code that uses them:
//
//   struct WorkerOptions : config::Section {
//     WorkerOptions() : Section("worker") {}
//     config::Option<std::uint64_t> threads{this, "threads", 1, "number of worker threads", config::Range{1, 256}};
//     config::Option<std::string> balance{this, "balance", "even", "who serves", config::OneOf{"even", "least"}};
//     config::Ignored nevent{this, "nevent", "the event loop sizes itself"};
//   };
//   WorkerOptions worker;
//   config::Config config{server, worker};     // loading, --set, --print-config and --help walk these
//   ... worker.threads() ...
//
// T is bool, std::uint64_t, std::int64_t, double, std::string, config::Size, config::Duration, config::ShortDuration or
// config::List.
// Two sections may share a name (the parts of one table that belong to different modules); an option wins over an
// Ignored of the same name.
// Owner:   main. Threads: written before any thread starts, read by all after; reread() on any.
// Limits:  files of at most 1 MiB.
// Failure: Error, one line, thrown while starting; a key declared twice or a default out of range is a CHECK.
#pragma once

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "config/value.h"

namespace pelikan::config {

inline constexpr std::size_t kMaxFileBytes = 1 << 20;
inline constexpr int kExitBadConfig = 78;

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Entry;
class Ignored;

class Section {
 public:
  // REQUIRES: `name` lives as long as the section. "" is the top of the file.
  explicit Section(std::string_view name) : name_(name) {}
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;

  virtual ~Section() = default;
  // What no single option can tell: throws Error when the settings do not go together.
  virtual void check() const {}

  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] const std::vector<Entry*>& entries() const noexcept { return entries_; }
  [[nodiscard]] const std::vector<Ignored*>& ignored() const noexcept { return ignored_; }

 private:
  friend class Entry;
  friend class Ignored;
  std::string_view name_;
  std::vector<Entry*> entries_;
  std::vector<Ignored*> ignored_;
};

// What Config sees of an option.
class Entry {
 public:
  Entry(Section* section, std::string_view name, std::string_view help) : name_(name), help_(help) {
    section->entries_.push_back(this);
  }
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] std::string_view help() const noexcept { return help_; }
  // Takes the value, or leaves the option as it was and says no.
  [[nodiscard]] virtual bool assign(const Value& value) = 0;
  [[nodiscard]] virtual bool accepts(const Value& value) const = 0;
  [[nodiscard]] virtual std::string allowed() const = 0;  // "a number from 1 to 256"
  [[nodiscard]] virtual std::string print() const = 0;    // the present value, as TOML

 protected:
  ~Entry() = default;

 private:
  std::string_view name_;
  std::string_view help_;
};

// Bounds for numbers, sizes and durations, both included.
template <class Min, class Max>
struct Range {
  Min min;
  Max max;
};
template <class Min, class Max>
Range(Min, Max) -> Range<Min, Max>;

// The words a string option takes, in any case; it holds the word as spelt here.
struct OneOf {
  std::vector<std::string> words;
  OneOf(std::initializer_list<const char*> list) : words(list.begin(), list.end()) {}
};

template <class T>
class Option final : public Entry {
 public:
  Option(Section* section, std::string_view name, T initial, std::string_view help)
      : Entry(section, name, help), value_(std::move(initial)) {}
  template <class Min, class Max>
  Option(Section* section, std::string_view name, T initial, std::string_view help, Range<Min, Max> range)
      : Entry(section, name, help), value_(std::move(initial)), min_(bound(range.min)), max_(bound(range.max)) {
    CHECK(permits(value_));
  }
  Option(Section* section, std::string_view name, T initial, std::string_view help, OneOf words)
    requires std::same_as<T, std::string>
      : Entry(section, name, help), value_(std::move(initial)), words_(std::move(words.words)) {
    CHECK(permits(value_));
  }

  [[nodiscard]] const T& operator()() const noexcept { return value_; }
  // Was it given, in a file or on the command line?
  [[nodiscard]] bool is_set() const noexcept { return is_set_; }
  // Those it takes, if it was declared with a list of them.
  [[nodiscard]] const std::vector<std::string>& words() const noexcept { return words_; }
  // For tests and for values that main works out. REQUIRES: the value is allowed.
  void set(T value) {
    CHECK(permits(value));
    value_ = std::move(value);
    is_set_ = true;
  }

  [[nodiscard]] bool assign(const Value& value) override {
    std::optional<T> given = read(value);
    if (!given) return false;
    set(std::move(*given));
    return true;
  }
  [[nodiscard]] bool accepts(const Value& value) const override { return read(value).has_value(); }
  [[nodiscard]] std::string allowed() const override;
  [[nodiscard]] std::string print() const override { return Codec<T>::print(value_); }

 private:
  template <class U>
  static T bound(U value) {
    if constexpr (std::same_as<T, Size>) {
      return Size(static_cast<std::uint64_t>(value));
    } else {
      return static_cast<T>(value);
    }
  }
  [[nodiscard]] std::optional<T> read(const Value& value) const {
    std::optional<T> given = Codec<T>::read(value);
    return given && permits(*given) ? std::move(given) : std::nullopt;
  }
  // Spells a word as it was declared.
  [[nodiscard]] bool permits(T& value) const {
    if constexpr (std::same_as<T, std::string>) {
      for (const std::string& word : words_) {
        if (lower(word) != lower(value)) continue;
        value = word;
        return true;
      }
      return words_.empty();
    } else if constexpr (std::totally_ordered<T>) {
      return (!min_ || value >= *min_) && (!max_ || value <= *max_);
    } else {
      return true;
    }
  }

  T value_;
  std::optional<T> min_, max_;
  std::vector<std::string> words_;
  bool is_set_ = false;
};

// A key of Pelikan's files that has no meaning here: any value is accepted, with one warning.
class Ignored {
 public:
  static constexpr std::string_view kAnyKey = "*";  // as a name: every key of the section

  Ignored(Section* section, std::string_view name, std::string_view why) : name_(name), why_(why) {
    section->ignored_.push_back(this);
  }
  Ignored(const Ignored&) = delete;
  Ignored& operator=(const Ignored&) = delete;
  [[nodiscard]] std::string_view name() const noexcept { return name_; }
  [[nodiscard]] std::string_view why() const noexcept { return why_; }

 private:
  std::string_view name_;
  std::string_view why_;
};

// What files and assignments give options, by their full names ("server.port"). Not in it: the default holds.
using Given = std::map<std::string, Value>;
// The names whose values differ.
[[nodiscard]] std::vector<std::string> changed(const Given& before, const Given& after);

class Config {
 public:
  template <std::derived_from<Section>... Sections>
  explicit Config(Sections&... sections) {
    (add(sections), ...);
  }
  Config(const Config&) = delete;
  Config& operator=(const Config&) = delete;

  // REQUIRES: `section` outlives this.
  void add(Section& section);

  // Each throws Error. A file or text is applied in the order of its lines; the first error ends it.
  void load_file(const std::string& path);
  void load_text(std::string_view toml, const std::string& file_name);
  void set(std::string_view assignment);  // section.key=value, or key=value for the top of the file

  [[nodiscard]] const std::vector<std::string>& files() const noexcept { return files_; }
  [[nodiscard]] const Given& given() const noexcept { return given_; }
  // What the same files, and the same set() on top, give now. Read and checked as then, but no option changes.
  [[nodiscard]] Given reread() const;

  // One line per key that was accepted without effect, in the order they were met.
  [[nodiscard]] const std::vector<std::string>& warnings() const noexcept { return warnings_; }
  void check() const;                       // Section::check() of all
  [[nodiscard]] std::string print() const;  // TOML that loads to the same settings
  [[nodiscard]] std::string help() const;   // one line per option

 private:
  void assign(std::string_view section, std::string_view key, const Value& value, const std::string& where);
  [[nodiscard]] Entry* find(std::string_view section, std::string_view key) const;
  [[nodiscard]] const Ignored* find_ignored(std::string_view section, std::string_view key) const;
  void require_section(std::string_view section, std::string_view key, const std::string& where) const;
  [[nodiscard]] std::string nearest(std::string_view section, std::string_view key) const;
  [[nodiscard]] std::vector<std::string_view> section_names() const;

  std::vector<Section*> sections_;
  std::vector<std::string> warnings_;
  std::vector<std::string> files_, assignments_;
  Given given_;
  bool only_reads_ = false;
};

extern template class Option<bool>;
extern template class Option<std::uint64_t>;
extern template class Option<std::int64_t>;
extern template class Option<double>;
extern template class Option<std::string>;
extern template class Option<Size>;
extern template class Option<Duration>;
extern template class Option<ShortDuration>;
extern template class Option<List>;

}  // namespace pelikan::config
