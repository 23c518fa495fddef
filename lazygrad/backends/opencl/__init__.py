"""The OpenCL backend: loops to OpenCL C (codegen), buffers, programs and launches (device)."""
