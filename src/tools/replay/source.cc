#include "tools/replay/source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace pelikan::tools::replay {
namespace {

constexpr std::size_t kInputBytes = 256 * 1024;
constexpr std::size_t kLineBufferBytes = 256 * 1024;
constexpr std::size_t kRecordsAtOnce = 8192;
constexpr int kWindowLogMax = 27;
constexpr std::string_view kZstdMagic = "\x28\xB5\x2F\xFD";

void free_context(ZSTD_DCtx* context) { ZSTD_freeDCtx(context); }

}  // namespace

Source::Source(const std::string& path)
    : name_(path == "-" ? "standard input" : path),
      fd_(STDIN_FILENO),
      input_(kInputBytes, '\0'),
      zstd_(nullptr, free_context) {
  if (path != "-") {
    owned_ = net::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!owned_) fail(std::strerror(errno));
    fd_ = owned_.get();
  }
  while (input_end_ < kZstdMagic.size() && !input_ended_) fill();
  if (!std::string_view(input_).substr(0, input_end_).starts_with(kZstdMagic)) return;
  zstd_.reset(ZSTD_createDCtx());
  if (!zstd_ || ZSTD_isError(ZSTD_DCtx_setParameter(zstd_.get(), ZSTD_d_windowLogMax, kWindowLogMax))) {
    fail("no memory for zstd");
  }
}

Source::~Source() = default;

std::size_t Source::read(char* out, std::size_t size) {
  if (zstd_) return read_compressed(out, size);
  if (input_begin_ == input_end_ && !input_ended_) {
    input_begin_ = input_end_ = 0;
    fill();
  }
  const std::size_t taken = std::min(size, input_end_ - input_begin_);
  std::memcpy(out, input_.data() + input_begin_, taken);
  input_begin_ += taken;
  return taken;
}

// Appends what one read() gives. REQUIRES: room in input_.
void Source::fill() {
  ssize_t count = 0;
  do {
    count = ::read(fd_, input_.data() + input_end_, input_.size() - input_end_);
  } while (count < 0 && errno == EINTR);
  if (count < 0) fail(std::strerror(errno));
  if (count == 0) input_ended_ = true;
  input_end_ += static_cast<std::size_t>(count);
}

std::size_t Source::read_compressed(char* out, std::size_t size) {
  ZSTD_outBuffer output{out, size, 0};
  while (output.pos == 0) {
    if (input_begin_ == input_end_ && !input_ended_) {
      input_begin_ = input_end_ = 0;
      fill();
    }
    ZSTD_inBuffer input{input_.data() + input_begin_, input_end_ - input_begin_, 0};
    const bool was_open = frame_open_;
    const std::size_t hint = ZSTD_decompressStream(zstd_.get(), &output, &input);
    if (ZSTD_isError(hint)) fail(std::string("zstd: ") + ZSTD_getErrorName(hint));
    input_begin_ += input.pos;
    frame_open_ = hint != 0 && (was_open || input.pos > 0);
    if (input_ended_ && input_begin_ == input_end_ && output.pos == 0) {
      if (frame_open_) fail("the zstd stream ends early");
      break;
    }
  }
  return output.pos;
}

void Source::fail(const std::string& why) const { throw std::runtime_error("cannot read " + name_ + ": " + why); }

LineReader::LineReader(Source& source) : source_(source), bytes_(kLineBufferBytes, '\0') {}

std::optional<std::string_view> LineReader::next() {
  std::size_t searched = 0;
  while (true) {
    const char* from = bytes_.data() + begin_;
    const auto* end = static_cast<const char*>(std::memchr(from + searched, '\n', end_ - begin_ - searched));
    const std::size_t length = end != nullptr ? static_cast<std::size_t>(end - from) : end_ - begin_;
    if (end == nullptr) {
      if (const std::size_t count = refill(); count > 0) {
        searched = end_ - count;
        continue;
      }
      if (length == 0) return std::nullopt;
    }
    std::string_view line(bytes_.data() + begin_, std::min(length, kLineBytesMax));
    begin_ += length + (end != nullptr ? 1 : 0);
    ++line_number_;
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }
}

// Makes room and reads more. An unfinished line that fills the whole buffer keeps its first kLineBytesMax bytes only.
std::size_t LineReader::refill() {
  std::memmove(bytes_.data(), bytes_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ == bytes_.size()) end_ = kLineBytesMax;
  const std::size_t count = source_.read(bytes_.data() + end_, bytes_.size() - end_);
  end_ += count;
  return count;
}

RecordReader::RecordReader(Source& source, std::size_t record_bytes)
    : source_(source), record_bytes_(record_bytes), bytes_(record_bytes * kRecordsAtOnce, '\0') {}

std::optional<std::string_view> RecordReader::next() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    while (end_ < bytes_.size()) {
      const std::size_t count = source_.read(bytes_.data() + end_, bytes_.size() - end_);
      if (count == 0) break;
      end_ += count;
    }
    if (end_ == 0) return std::nullopt;
  }
  const std::string_view record(bytes_.data() + begin_, std::min(record_bytes_, end_ - begin_));
  begin_ += record.size();
  ++record_number_;
  return record;
}

}  // namespace pelikan::tools::replay
