#include <cuda_fp16.h>

__device__ float float32_of_float16(unsigned short bits) {
    return __half2float(__ushort_as_half(bits));
}

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
__device__ float max_float(float x, float y) { return y < x || x != x ? x : y; }

__device__ unsigned short float16_of_float32(float x) {  // to nearest even
    return __half_as_ushort(__float2half_rn(x));
}

// softmax of a's rows
extern "C" __global__ void __launch_bounds__(64)
softmax(
    unsigned short *__restrict__ out,  // float16[1200]
    const unsigned short *__restrict__ a  // float16[1200]
) {
    __shared__ float shared[64];
    __shared__ float result[1];
    const int row = blockIdx.x;
    const int t = threadIdx.x;
    float kept_0, kept_1, kept_2, kept_3;
    kept_0 = float32_of_float16(a[row * 200 + t]);
    kept_1 = float32_of_float16(a[row * 200 + t + 64]);
    kept_2 = float32_of_float16(a[row * 200 + t + 128]);
    kept_3 = t < 8 ? float32_of_float16(t < 8 ? a[row * 200 + t + 192] : 0x0000) : -INFINITY;
    shared[t] = max_float(max_float(kept_0, kept_1), max_float(kept_2, kept_3));
    __syncthreads();
    if (t == 0) {
        result[0] = -INFINITY;
        for (int k = 0; k < 64; k++) {
            result[0] = max_float(result[0], shared[k]);
        }
    }
    __syncthreads();
    kept_0 = exp(kept_0 - result[0]);
    kept_1 = exp(kept_1 - result[0]);
    kept_2 = exp(kept_2 - result[0]);
    kept_3 = exp(kept_3 - result[0]);
    shared[t] = kept_0 + kept_1 + (kept_2 + kept_3);
    __syncthreads();
    if (t == 0) {
        result[0] = 0.0f;
        for (int k = 0; k < 64; k++) {
            result[0] = result[0] + shared[k];
        }
    }
    __syncthreads();
    out[row * 200 + t] = float16_of_float32(kept_0 / result[0]);
    out[row * 200 + t + 64] = float16_of_float32(kept_1 / result[0]);
    out[row * 200 + t + 128] = float16_of_float32(kept_2 / result[0]);
    if (t < 8) {
        out[row * 200 + t + 192] = float16_of_float32(kept_3 / result[0]);
    }
}
