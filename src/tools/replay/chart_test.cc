// What is in the picture, and that it is well-formed whatever it is given; how it looks is for eyes.
#include "tools/replay/chart.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace pelikan::tools::replay {
namespace {

Outcome outcome(const std::string& policy, std::uint64_t heap_bytes, std::uint64_t misses) {
  return {.policy = policy, .gets = 1000, .misses = misses, .heap_bytes = heap_bytes};
}

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++found;
  return found;
}

// Every element is closed in its order, and no <, > or & stands for itself.
void expect_well_formed(std::string_view svg) {
  std::vector<std::string_view> open;
  while (!svg.empty()) {
    const std::size_t at = std::min(svg.find('<'), svg.size());
    const std::string_view text = svg.substr(0, at);
    EXPECT_EQ(text.find('>'), std::string_view::npos) << text;
    if (const std::size_t entity = text.find('&'); entity != std::string_view::npos) {
      const std::string_view name = text.substr(entity + 1, text.find(';', entity) - entity - 1);
      EXPECT_TRUE(name == "lt" || name == "gt" || name == "amp" || name == "quot") << text;
    }
    if (at == svg.size()) break;
    const std::size_t end = svg.find('>', at);
    ASSERT_NE(end, std::string_view::npos);
    const std::string_view tag = svg.substr(at + 1, end - at - 1);
    EXPECT_EQ(tag.find_first_of("<&"), std::string_view::npos) << tag;
    svg.remove_prefix(end + 1);
    if (tag.starts_with('/')) {
      ASSERT_FALSE(open.empty()) << tag;
      EXPECT_EQ(open.back(), tag.substr(1));
      open.pop_back();
    } else if (!tag.ends_with('/')) {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST(Chart, OneCurvePerPolicyWithItsPointsByHeapSize) {
  Trace trace;
  trace.footprint_bytes = 100'000'000;
  const std::vector<Outcome> outcomes = {outcome("merge", 10'000'000, 200), outcome("merge", 3'000'000, 400),
                                         outcome("fifo", 3'000'000, 500), outcome("fifo", 10'000'000, 250)};
  const std::string svg = draw_chart(outcomes, trace, "a.csv");
  expect_well_formed(svg);
  EXPECT_EQ(count(svg, "class=\"curve\""), 4u);  // two curves and their legend
  EXPECT_EQ(count(svg, "class=\"mark\""), 6u);
  EXPECT_EQ(count(svg, ">merge</text>"), 1u);
  EXPECT_EQ(count(svg, ">fifo</text>"), 1u);
  EXPECT_EQ(count(svg, "merge, 3.00 MB: 0.4000"), 1u);
  EXPECT_EQ(count(svg, ">3 %</text>"), 1u);
  EXPECT_EQ(count(svg, ">10 %</text>"), 1u);
  EXPECT_EQ(count(svg, ">0.5</text>"), 1u);
  EXPECT_EQ(count(svg, "prefers-color-scheme:dark"), 1u);
  // From left to right, and fewer misses lower down.
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
  const std::size_t curve = svg.find("d=\"M", svg.find("class=\"curve\""));
  ASSERT_EQ(std::sscanf(svg.c_str() + curve, "d=\"M%lf %lfL%lf %lf\"", &x0, &y0, &x1, &y1), 4);
  EXPECT_LT(x0, x1);
  EXPECT_LT(y0, y1);
}

TEST(Chart, ExtremesAreDrawnToo) {
  Trace trace;
  const std::vector<std::vector<Outcome>> rows = {
      {outcome("one", 4096, 1)},
      {outcome("never misses", 4096, 0), outcome("never misses", 8192, 0)},
      {outcome("always misses", 1, 1000), outcome("always misses", ~0ULL, 1000)},
      {outcome("<&\">", 4096, 1), outcome("\xff\x01", 4096, 1)},
  };
  for (const auto& row : rows) {
    const std::string svg = draw_chart(row, trace, "<svg onload=\"x\">&amp;\n\xc3");
    expect_well_formed(svg);
    EXPECT_EQ(count(svg, "nan") + count(svg, "inf"), 0u) << svg;
    EXPECT_EQ(count(svg, "<svg"), 1u);
  }
}

TEST(Chart, LabelsDoNotOverlap) {
  Trace trace;
  trace.footprint_bytes = 1 << 30;
  std::vector<Outcome> outcomes;
  for (std::uint64_t i = 1; i <= 100; ++i) outcomes.push_back(outcome("merge", i << 20, 1000 / i));
  const std::string svg = draw_chart(outcomes, trace, "many");
  EXPECT_EQ(count(svg, "class=\"mark\""), 101u);
  EXPECT_LT(count(svg, " %</text>"), 12u);
}

}  // namespace
}  // namespace pelikan::tools::replay
