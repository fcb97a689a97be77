# Cross-builds the device libraries and their tests for 64-bit ARM; CTest runs them under qemu. Use with
# -DTHIMBLE_TOOLS=OFF: the other libraries' dependencies can't be installed for two architectures at once.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64;-L;/usr/aarch64-linux-gnu)
