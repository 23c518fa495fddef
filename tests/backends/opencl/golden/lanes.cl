// launch: global (10,), local (10,)
#pragma OPENCL FP_CONTRACT OFF

float4 max_float4(float4 x, float4 y) { return select(y, x, (x > y) | (x != x)); }  // nan where either is nan

float2 max_float2(float2 x, float2 y) { return select(y, x, (x > y) | (x != x)); }  // nan where either is nan

float max_float(float x, float y) { return x > y || x != x ? x : y; }  // nan where either is nan

__kernel __attribute__((reqd_work_group_size(10, 1, 1)))
void lanes(
    __global float *restrict out,  // float32[70]
    __global float *restrict total,  // float32[10]
    __global const float *restrict a  // float32[171]
) {
    const int t = get_local_id(0);
    const int tmp0 = t * 7 + 6;
    const float4 tmp1 = (float4)(a[tmp0], a[tmp0 - 1], a[tmp0 - 2], a[tmp0 - 3]);
    const float2 tmp2 = (float2)(a[tmp0 - 4], a[tmp0 - 5]);
    const float tmp3 = a[tmp0 - 6];
    const float4 tmp4 = tmp1 * (float4)(0.5f);
    const float2 tmp5 = tmp2 * (float2)(0.5f);
    const float tmp6 = tmp3 * 0.5f;
    const int tmp7 = t * 17;
    const float4 tmp8 = (float4)(a[tmp7], a[tmp7 + 2], a[tmp7 + 4], a[tmp7 + 6]);
    const float2 tmp9 = (float2)(a[tmp7 + 8], a[tmp7 + 10]);
    const float tmp10 = a[tmp7 + 12];
    const int tmp11 = t * 7 + 1;
    const float4 tmp12 = vload4(0, a + tmp11);
    const float2 tmp13 = vload2(0, a + tmp11 + 4);
    const float tmp14 = a[tmp11 + 6];
    const float4 tmp15 = max_float4(tmp12, tmp8);
    const float2 tmp16 = max_float2(tmp13, tmp9);
    const float tmp17 = max_float(tmp14, tmp10);
    const float4 v_0 = tmp15 + tmp4;
    const float2 v_1 = tmp16 + tmp5;
    const float v_2 = tmp17 + tmp6;
    const int tmp18 = t * 7;
    vstore4(v_0, 0, out + tmp18);
    vstore2(v_1, 0, out + tmp18 + 4);
    out[tmp18 + 6] = v_2;
    const float2 tmp19 = (float2)(v_0.s0, v_0.s1) + (float2)(v_0.s3, v_1.s0);
    const float tmp20 = v_0.s2 + v_1.s1;
    total[t] = tmp19.s0 + tmp19.s1 + v_2 + tmp20;
}
