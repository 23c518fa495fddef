; a register tile
; for avx2
define void @tile(ptr %arguments, i64 %thread, i64 %threads, ptr noalias nocapture align 64 %scratch) {
entry:
  %c.slot = getelementptr ptr, ptr %arguments, i64 0
  %c = load ptr, ptr %c.slot, align 8, !invariant.load !0
  %a.slot = getelementptr ptr, ptr %arguments, i64 1
  %a = load ptr, ptr %a.slot, align 8, !invariant.load !0
  %b.slot = getelementptr ptr, ptr %arguments, i64 2
  %b = load ptr, ptr %b.slot, align 8, !invariant.load !0
  %acc = alloca [16 x float], align 64
  store <8 x float> splat (float 0x0000000000000000), ptr %acc, align 4
  %acc.at = getelementptr float, ptr %acc, i64 8
  store <8 x float> splat (float 0x0000000000000000), ptr %acc.at, align 4
  br label %k.loop
k.loop:
  %k = phi i64 [ 0, %entry ], [ %k.next, %k.loop ]
  %acc.1 = load <8 x float>, ptr %acc, align 4
  %mul = mul nsw i64 %k, 8
  %b.at = getelementptr float, ptr %b, i64 %mul
  %b.1 = load <8 x float>, ptr %b.at, align 4, !invariant.load !0
  %mul.1 = mul nsw i64 %k, 2
  %a.at = getelementptr float, ptr %a, i64 %mul.1
  %a.1 = load float, ptr %a.at, align 4, !invariant.load !0
  %one = insertelement <8 x float> poison, float %a.1, i64 0
  %lanes = shufflevector <8 x float> %one, <8 x float> poison, <8 x i32> zeroinitializer
  %fma = call <8 x float> @llvm.fma.v8f32(<8 x float> %lanes, <8 x float> %b.1, <8 x float> %acc.1)
  store <8 x float> %fma, ptr %acc, align 4
  %acc.2 = load <8 x float>, ptr %acc.at, align 4
  %a.at.1 = getelementptr float, ptr %a.at, i64 1
  %a.2 = load float, ptr %a.at.1, align 4, !invariant.load !0
  %one.1 = insertelement <8 x float> poison, float %a.2, i64 0
  %lanes.1 = shufflevector <8 x float> %one.1, <8 x float> poison, <8 x i32> zeroinitializer
  %fma.1 = call <8 x float> @llvm.fma.v8f32(<8 x float> %lanes.1, <8 x float> %b.1, <8 x float> %acc.2)
  store <8 x float> %fma.1, ptr %acc.at, align 4
  %k.next = add nuw nsw i64 %k, 1
  %k.more = icmp slt i64 %k.next, 64
  br i1 %k.more, label %k.loop, label %k.done
k.done:
  %acc.3 = load <8 x float>, ptr %acc, align 4
  store <8 x float> %acc.3, ptr %c, align 4
  %acc.4 = load <8 x float>, ptr %acc.at, align 4
  %c.at = getelementptr float, ptr %c, i64 8
  store <8 x float> %acc.4, ptr %c.at, align 4
  ret void
}

declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)

!0 = !{}
