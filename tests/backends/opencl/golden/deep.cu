
extern "C" __global__ void __launch_bounds__(256)
deep(
    float *__restrict__ out,  // float32[36288]
    const float *__restrict__ a  // float32[36288]
) {
    const int item = threadIdx.x;
    const int group = blockIdx.z;
    const int g0 = group / 6;
    const int g1 = group / 2 % 3;
    const int g2 = group % 2;
    const int g3 = blockIdx.y;
    const int g4 = blockIdx.x;
    for (int n = item; n < 504; n += 256) {
        const int t0 = n / 72;
        const int t1 = n / 9 % 8;
        const int t2 = n % 9;
        const int tmp0 = g0 * 18144 + g1 * 6048 + g2 * 3024 + g3 * 1512 + g4 * 504 + t0 * 72 + t1 * 9;
        out[tmp0 + t2] = a[tmp0 + t2] + (float)t1;
    }
}
