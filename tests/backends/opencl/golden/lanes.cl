// launch: global (10,), local (10,)
#pragma OPENCL FP_CONTRACT OFF

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
float4 max_float4(float4 x, float4 y) { return select(y, x, (y < x) | (x != x)); }

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
float2 max_float2(float2 x, float2 y) { return select(y, x, (y < x) | (x != x)); }

// max(x, y)  ->  x if x > y or x is nan else y;   min(x, y) likewise, of floats
float max_float(float x, float y) { return y < x || x != x ? x : y; }

__kernel __attribute__((reqd_work_group_size(10, 1, 1)))
void lanes(
    __global float *restrict out,  // float32[70]
    __global float *restrict total,  // float32[10]
    __global const float *restrict a  // float32[171]
) {
    const int t = get_local_id(0);
    const float4 tmp0 = max_float4(vload4(0, a + t * 7 + 1), (float4)(a[t * 17], a[t * 17 + 2], a[t * 17 + 4], a[t * 17 + 6]));
    const float4 v_0 = tmp0 + (float4)(a[t * 7 + 6], a[t * 7 + 5], a[t * 7 + 4], a[t * 7 + 3]) * 0.5f;
    const float2 tmp1 = max_float2(vload2(0, a + t * 7 + 5), (float2)(a[t * 17 + 8], a[t * 17 + 10]));
    const float2 v_1 = tmp1 + (float2)(a[t * 7 + 2], a[t * 7 + 1]) * 0.5f;
    const float v_2 = max_float(a[t * 7 + 7], a[t * 17 + 12]) + a[t * 7] * 0.5f;
    vstore4(v_0, 0, out + t * 7);
    vstore2(v_1, 0, out + t * 7 + 4);
    out[t * 7 + 6] = v_2;
    total[t] = v_0.x + v_0.w + (v_0.y + v_1.x) + v_2 + (v_0.z + v_1.y);
}
