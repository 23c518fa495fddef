
// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
__device__ float max_float(float x, float y) { return y < x || x != x ? x : y; }

extern "C" __global__ void __launch_bounds__(10)
lanes(
    float *__restrict__ out,  // float32[70]
    float *__restrict__ total,  // float32[10]
    const float *__restrict__ a  // float32[171]
) {
    const int t = threadIdx.x;
    const float v_0 = max_float(a[t * 7 + 1], a[t * 17]) + a[t * 7 + 6] * 0.5f;
    const float v_1 = max_float(a[t * 7 + 2], a[t * 17 + 2]) + a[t * 7 + 5] * 0.5f;
    const float v_2 = max_float(a[t * 7 + 3], a[t * 17 + 4]) + a[t * 7 + 4] * 0.5f;
    const float v_3 = max_float(a[t * 7 + 4], a[t * 17 + 6]) + a[t * 7 + 3] * 0.5f;
    const float v_4 = max_float(a[t * 7 + 5], a[t * 17 + 8]) + a[t * 7 + 2] * 0.5f;
    const float v_5 = max_float(a[t * 7 + 6], a[t * 17 + 10]) + a[t * 7 + 1] * 0.5f;
    const float v_6 = max_float(a[t * 7 + 7], a[t * 17 + 12]) + a[t * 7] * 0.5f;
    out[t * 7] = v_0;
    out[t * 7 + 1] = v_1;
    out[t * 7 + 2] = v_2;
    out[t * 7 + 3] = v_3;
    out[t * 7 + 4] = v_4;
    out[t * 7 + 5] = v_5;
    out[t * 7 + 6] = v_6;
    total[t] = v_0 + v_3 + (v_1 + v_4) + v_6 + (v_2 + v_5);
}
