"""The OpenCL backend: kernels of backends/c as programs, buffers and launches (device)."""
