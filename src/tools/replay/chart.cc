#include "tools/replay/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <vector>

namespace pelikan::tools::replay {
namespace {

constexpr double kWidth = 760;
constexpr double kHeight = 440;
constexpr double kLeft = 70;  // the plot's edges
constexpr double kRight = 610;
constexpr double kTop = 48;
constexpr double kBottom = 370;
constexpr double kLabelSpace = 52;  // between the middles of two labels under the plot
constexpr double kLegendStep = 22;
constexpr int kRowsAimed = 5;
constexpr double kMega = 1e6;

constexpr std::array kColours{"#0072b2", "#d55e00", "#009e73", "#b65c93", "#8a63d2", "#a87900", "#7f7f7f", "#c8443c"};
// Around 0,0. Their number and that of the colours have few common multiples.
constexpr std::array kMarks{"M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", "M-4-4h8v8h-8z", "M0-5L5 4H-5z", "M0-5L5 0L0 5L-5 0z",
                            "M-4-4L4 4M-4 4L4-4"};

constexpr const char* kStyle =
    "<style>"
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.ground{fill:#ffffff}.grid{stroke:#d0d7de}.axis{stroke:#57606a}"
    ".curve{fill:none;stroke-width:2}.mark{stroke-width:2}.title{font-size:15px;font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.ground{fill:#161b22}.grid{stroke:#30363d}.axis{stroke:#"
    "8b949e}}"
    "</style>\n";

struct Curve {
  std::string policy;
  std::vector<const Outcome*> points;  // by heap size
};

std::vector<Curve> curves_of(std::span<const Outcome> outcomes) {
  std::vector<Curve> curves;
  for (const Outcome& outcome : outcomes) {
    auto curve = std::ranges::find(curves, outcome.policy, &Curve::policy);
    if (curve == curves.end()) curve = curves.insert(curve, {.policy = outcome.policy, .points = {}});
    curve->points.push_back(&outcome);
  }
  for (Curve& curve : curves) std::ranges::stable_sort(curve.points, {}, &Outcome::heap_bytes);
  return curves;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char each : text) {
    switch (each) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += each >= ' ' && each <= '~' ? each : '?';
    }
  }
  return out;
}

// Three digits, or all before the point.
std::string rounded(double value) { return value >= 100 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value); }

// The step of 1, 2 or 5 times a power of ten that cuts `top` into about kRowsAimed rows.
double step_for(double top) {
  const double rough = top / kRowsAimed;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

class Drawing {
 public:
  Drawing(std::span<const Outcome> outcomes, const Trace& trace) : curves_(curves_of(outcomes)), trace_(trace) {
    for (const Outcome& outcome : outcomes) {
      heaps_.push_back(outcome.heap_bytes);
      top_ = std::max(top_, outcome.object_miss_ratio());
    }
    std::ranges::sort(heaps_);
    heaps_.erase(std::ranges::unique(heaps_).begin(), heaps_.end());
    step_ = step_for(top_);
    top_ = std::ceil(top_ / step_) * step_;
  }

  std::string draw(std::string_view name) {
    add("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "role=\"img\">\n",
        kWidth, kHeight);
    out_ += kStyle;
    add("<title>{0}</title>\n<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n"
        "<text class=\"title\" x=\"{1}\" y=\"28\">{0}</text>\n",
        escaped(name), kLeft);
    draw_rows();
    draw_columns();
    for (std::size_t i = 0; i < curves_.size(); ++i) draw_curve(i);
    out_ += "</svg>\n";
    return std::move(out_);
  }

 private:
  template <class... Arguments>
  void add(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Arguments>(arguments)...);
  }

  // Heaps grow by factors, so the axis is logarithmic.
  [[nodiscard]] double x_of(std::uint64_t heap_bytes) const {
    if (heaps_.size() < 2) return (kLeft + kRight) / 2;
    const auto part = [](std::uint64_t to, std::uint64_t from) {
      return std::log(static_cast<double>(to) / static_cast<double>(from));
    };
    constexpr double kInset = 24;
    return kLeft + kInset +
           (kRight - kLeft - 2 * kInset) * part(heap_bytes, heaps_.front()) / part(heaps_.back(), heaps_.front());
  }
  [[nodiscard]] double y_of(double ratio) const { return kBottom - (kBottom - kTop) * ratio / top_; }

  void draw_rows() {
    const int rows = static_cast<int>(std::lround(top_ / step_));
    for (int row = 0; row <= rows; ++row) {
      const double y = y_of(row * step_);
      add("<path class=\"{}\" d=\"M{} {:.1f}H{}\"/>\n", row == 0 ? "axis" : "grid", kLeft, y, kRight);
      add("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.3g}</text>\n", kLeft - 8, y + 4, row * step_);
    }
    add("<text transform=\"translate(20 {}) rotate(-90)\" text-anchor=\"middle\">object miss ratio</text>\n",
        (kTop + kBottom) / 2);
  }

  // The heaps that were tried are the columns; where they are close not each has a label.
  void draw_columns() {
    double labelled = -kLabelSpace;
    for (const std::uint64_t heap_bytes : heaps_) {
      const double x = x_of(heap_bytes);
      add("<path class=\"grid\" d=\"M{:.1f} {}V{}\"/>\n", x, kTop, kBottom);
      if (x - labelled < kLabelSpace) continue;
      labelled = x;
      const double bytes = static_cast<double>(heap_bytes);
      const double footprint = static_cast<double>(std::max<std::uint64_t>(trace_.footprint_bytes, 1));
      add("<text x=\"{0:.1f}\" y=\"{1}\" text-anchor=\"middle\">{2}</text>\n"
          "<text x=\"{0:.1f}\" y=\"{3}\" text-anchor=\"middle\">{4} %</text>\n",
          x, kBottom + 18, rounded(bytes / kMega), kBottom + 34, rounded(100 * bytes / footprint));
    }
    add("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">heap, MB, and as part of the footprint</text>\n",
        (kLeft + kRight) / 2, kBottom + 58);
  }

  void draw_curve(std::size_t number) {
    const Curve& curve = curves_[number];
    const char* colour = kColours[number % kColours.size()];
    const char* mark = kMarks[number % kMarks.size()];
    add("<path class=\"curve\" stroke=\"{}\" d=\"", colour);
    for (const Outcome* point : curve.points) {
      add("{}{:.1f} {:.1f}", point == curve.points.front() ? 'M' : 'L', x_of(point->heap_bytes),
          y_of(point->object_miss_ratio()));
    }
    out_ += "\"/>\n";
    const auto draw_mark = [&](double x, double y, const std::string& title) {
      add("<path class=\"mark\" fill=\"{0}\" stroke=\"{0}\" transform=\"translate({1:.1f} {2:.1f})\" d=\"{3}\">",
          colour, x, y, mark);
      add("<title>{}</title></path>\n", escaped(title));
    };
    for (const Outcome* point : curve.points) {
      draw_mark(x_of(point->heap_bytes), y_of(point->object_miss_ratio()),
                fmt::format("{}, {:.2f} MB: {:.4f}", curve.policy, static_cast<double>(point->heap_bytes) / kMega,
                            point->object_miss_ratio()));
    }
    const double y = kTop + 10 + kLegendStep * static_cast<double>(number);
    add("<path class=\"curve\" stroke=\"{}\" d=\"M{} {}h32\"/>\n", colour, kRight + 18, y);
    draw_mark(kRight + 34, y, curve.policy);
    add("<text x=\"{}\" y=\"{}\">{}</text>\n", kRight + 58, y + 4, escaped(curve.policy));
  }

  std::vector<Curve> curves_;
  const Trace& trace_;
  std::vector<std::uint64_t> heaps_;  // each once, ascending
  double top_ = 0.01;                 // of the vertical axis, which begins at 0
  double step_ = 0;
  std::string out_;
};

}  // namespace

std::string draw_chart(std::span<const Outcome> outcomes, const Trace& trace, std::string_view name) {
  return Drawing(outcomes, trace).draw(name);
}

}  // namespace pelikan::tools::replay
