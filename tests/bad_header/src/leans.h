#pragma once

inline std::size_t length(std::string_view text) { return text.size(); }
