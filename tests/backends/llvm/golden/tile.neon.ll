; a register tile
; for neon
define void @tile(ptr %arguments, i64 %thread, i64 %threads, ptr noalias nocapture align 64 %scratch) {
entry:
  %c.slot = getelementptr ptr, ptr %arguments, i64 0
  %c = load ptr, ptr %c.slot, align 8, !invariant.load !0
  %a.slot = getelementptr ptr, ptr %arguments, i64 1
  %a = load ptr, ptr %a.slot, align 8, !invariant.load !0
  %b.slot = getelementptr ptr, ptr %arguments, i64 2
  %b = load ptr, ptr %b.slot, align 8, !invariant.load !0
  %acc = alloca [8 x float], align 64
  store <4 x float> splat (float 0x0000000000000000), ptr %acc, align 4
  %acc.at = getelementptr float, ptr %acc, i64 4
  store <4 x float> splat (float 0x0000000000000000), ptr %acc.at, align 4
  br label %k.loop
k.loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %k.loop ]
  %acc.1 = load <4 x float>, ptr %acc, align 4
  %mul = mul nsw i64 %k, 4
  %b.at = getelementptr float, ptr %b, i64 %mul
  %b.1 = load <4 x float>, ptr %b.at, align 4, !invariant.load !0
  %mul.1 = mul nsw i64 %k, 2
  %a.at = getelementptr float, ptr %a, i64 %mul.1
  %a.1 = load float, ptr %a.at, align 4, !invariant.load !0
  %one = insertelement <4 x float> poison, float %a.1, i64 0
  %lanes = shufflevector <4 x float> %one, <4 x float> poison, <4 x i32> zeroinitializer
  %fma = call <4 x float> @llvm.fma.v4f32(<4 x float> %lanes, <4 x float> %b.1, <4 x float> %acc.1)
  store <4 x float> %fma, ptr %acc, align 4
  %acc.2 = load <4 x float>, ptr %acc.at, align 4
  %a.at.1 = getelementptr float, ptr %a.at, i64 1
  %a.2 = load float, ptr %a.at.1, align 4, !invariant.load !0
  %one.1 = insertelement <4 x float> poison, float %a.2, i64 0
  %lanes.1 = shufflevector <4 x float> %one.1, <4 x float> poison, <4 x i32> zeroinitializer
  %fma.1 = call <4 x float> @llvm.fma.v4f32(<4 x float> %lanes.1, <4 x float> %b.1, <4 x float> %acc.2)
  store <4 x float> %fma.1, ptr %acc.at, align 4
  %k.next = add nuw nsw i64 %k, 1
  %k.more = icmp slt i64 %k.next, 64
  br i1 %k.more, label %k.loop, label %k.done
k.done:
  %acc.3 = load <4 x float>, ptr %acc, align 4
  store <4 x float> %acc.3, ptr %c, align 4
  %acc.4 = load <4 x float>, ptr %acc.at, align 4
  %c.at = getelementptr float, ptr %c, i64 4
  store <4 x float> %acc.4, ptr %c.at, align 4
  ret void
}

declare <4 x float> @llvm.fma.v4f32(<4 x float>, <4 x float>, <4 x float>)

!0 = !{}
