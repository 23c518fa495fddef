
// table[indices]
extern "C" __global__ void __launch_bounds__(64)
gather(
    float *__restrict__ out,  // float32[300]
    const float *__restrict__ table,  // float32[200]
    const long long *__restrict__ indices  // int64[30]
) {
    const int g = blockIdx.x;
    const int t = threadIdx.x;
    if (g * 64 + t < 300) {
        const long long row = indices[(g * 64 + t) / 10];
        out[g * 64 + t] = 0 <= row && row < 20 ? table[row * 10 + (g * 64 + t) % 10] : 0.0f;
    }
}
