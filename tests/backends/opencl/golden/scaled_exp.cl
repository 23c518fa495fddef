// launch: global (1024,), local (64,)
#pragma OPENCL FP_CONTRACT OFF

// exp(a) * b - 1.5
__kernel __attribute__((reqd_work_group_size(64, 1, 1)))
void scaled_exp(
    __global float *restrict out,  // float32[4096]
    __global const float *restrict a,  // float32[4096]
    __global const float *restrict b  // float32[4096]
) {
    const int g = get_group_id(0);
    const int t = get_local_id(0);
    const float4 tmp0 = exp(*(__global const float4 *)(a + g * 256 + t * 4)) * *(__global const float4 *)(b + g * 256 + t * 4);
    *(__global float4 *)(out + g * 256 + t * 4) = tmp0 - 1.5f;
}
