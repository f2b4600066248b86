// Tells the service manager how we are (the sd_notify protocol): a datagram to the socket named by NOTIFY_SOCKET, if it
// is set.
#pragma once

#include <string_view>

namespace pelikan::core {

// `state` is for example "READY=1" or "STOPPING=1". Without NOTIFY_SOCKET, or when nobody listens there, nothing
// happens.
void notify_service_manager(std::string_view state) noexcept;

}  // namespace pelikan::core
