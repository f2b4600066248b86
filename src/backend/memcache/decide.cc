#include "backend/memcache/decide.h"

#include <algorithm>

namespace pelikan::backend::memcache {

using protocol::memcache::Command;
using storage::segcache::Verdict;
namespace wire = protocol::memcache;

Verdict StoreDecision::operator()(const Item* current) noexcept {
  outcome_ = wire::kStored;
  const Verdict verdict = decide(current);
  bytes_ = verdict.front.size() + verdict.back.size();
  return verdict;
}

Verdict StoreDecision::decide(const Item* current) noexcept {
  const auto grow = [&](std::string_view front, std::string_view back) {
    return Verdict{Verdict::Kind::kStore, front, back, current->flags, current->expire_at};
  };
  switch (request_.command) {
    case Command::kAdd:
      if (current) return keep(wire::kNotStored);
      break;
    case Command::kReplace:
      if (!current) return keep(wire::kNotStored);
      break;
    case Command::kCas:
      if (!current) return keep(wire::kNotFound);
      if (current->cas != request_.number) return keep(wire::kExists);
      break;
    case Command::kAppend:
    case Command::kAppendrl: return current ? grow(current->value, request_.value) : keep(wire::kNotStored);
    case Command::kPrepend:
    case Command::kPrependrl: return current ? grow(request_.value, current->value) : keep(wire::kNotStored);
    default: break;
  }
  return Verdict::store(request_.value, request_.flags, expire_at_);
}

Verdict NumberDecision::operator()(const Item* current) noexcept {
  found_ = current != nullptr;
  number_ = found_ ? decimal_of_value(current->value) : std::nullopt;
  if (!number_) return Verdict::keep();
  number_ = up_ ? *number_ + delta_ : *number_ - std::min(*number_, delta_);
  text_ = DecimalText(*number_, current->value.size());
  return Verdict::store(text_.view(), current->flags, current->expire_at);
}

}  // namespace pelikan::backend::memcache
