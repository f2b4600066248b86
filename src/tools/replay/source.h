// Where the lines of a trace come from: a file or standard input, plain or zstd (told by its first bytes, not by its
// name).
//
// Owner:   the reader of a trace. Threads: one.
// Limits:  a line of more than kLineBytesMax is handed out cut off, so that no input makes the process grow; zstd
// windows up to
//          2^27 bytes.
// Failure: a file that cannot be opened or read, or a zstd stream that is damaged or ends early, throws
// std::runtime_error with
//          one line that names the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "net/fd.h"

struct ZSTD_DCtx_s;

namespace pelikan::tools::replay {

// The decompressed bytes of a file, "-" for standard input.
class Source {
 public:
  explicit Source(const std::string& path);
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // Fills `out` with up to `size` bytes. 0 only at the end.
  [[nodiscard]] std::size_t read(char* out, std::size_t size);

 private:
  void fill();
  [[nodiscard]] std::size_t read_compressed(char* out, std::size_t size);
  [[noreturn]] void fail(const std::string& why) const;

  std::string name_;
  net::Fd owned_;  // empty when the source is standard input
  int fd_;
  std::string input_;
  std::size_t input_begin_ = 0;
  std::size_t input_end_ = 0;
  bool input_ended_ = false;
  bool frame_open_ = false;                                    // a zstd frame has begun and not ended
  std::unique_ptr<ZSTD_DCtx_s, void (*)(ZSTD_DCtx_s*)> zstd_;  // null when the input is plain
};

class LineReader {
 public:
  static constexpr std::size_t kLineBytesMax = 4096;

  explicit LineReader(Source& source);

  // The next line without its end; valid until the next call. Nothing at the end of the source.
  [[nodiscard]] std::optional<std::string_view> next();
  [[nodiscard]] std::uint64_t line_number() const noexcept {
    return line_number_;
  }  // of the line handed out last; 1 is the first

 private:
  std::size_t refill();

  Source& source_;
  std::string bytes_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t line_number_ = 0;
};

// Records of one size, one after the other.
class RecordReader {
 public:
  RecordReader(Source& source, std::size_t record_bytes);

  // The next record; valid until the next call. Shorter only when the source ends within it; nothing at its end.
  [[nodiscard]] std::optional<std::string_view> next();
  [[nodiscard]] std::uint64_t record_number() const noexcept { return record_number_; }  // as line_number()

 private:
  Source& source_;
  std::size_t record_bytes_;
  std::string bytes_;  // a whole number of records
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t record_number_ = 0;
};

}  // namespace pelikan::tools::replay
