#pragma once
// What the machine allows and what the process uses.

#include <cstdint>

#include "support/expected.h"

namespace thimble::system {

std::uint64_t memory_limit();    // the smaller of physical memory and the cgroup's limit, in bytes
std::uint64_t peak_rss_bytes();  // VmHWM; mapped file pages included
std::uint64_t current_rss_bytes();
void reset_peak_rss();       // best effort (/proc/self/clear_refs)
int terminal_width(int fd);  // columns, 80 when unknown

// SIGINT and SIGTERM set a flag that long loops look at; a second signal kills at once.
void install_interrupt_handlers();
bool interrupted();
Status check_interrupt();  // kInterrupted after such a signal
int interrupt_signal();    // 0, SIGINT or SIGTERM

}  // namespace thimble::system
