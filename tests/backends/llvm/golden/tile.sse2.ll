; a register tile
; for sse2
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
  %mul = mul nsw i64 %k, 4
  %b.at = getelementptr float, ptr %b, i64 %mul
  %b.1 = load <4 x float>, ptr %b.at, align 4, !invariant.load !0
  %mul.1 = mul nsw i64 %k, 2
  %a.at = getelementptr float, ptr %a, i64 %mul.1
  %a.1 = load float, ptr %a.at, align 4, !invariant.load !0
  %one = insertelement <4 x float> poison, float %a.1, i64 0
  %lanes = shufflevector <4 x float> %one, <4 x float> poison, <4 x i32> zeroinitializer
  %mul.2 = fmul <4 x float> %lanes, %b.1
  %acc.1 = load <4 x float>, ptr %acc, align 4
  %add = fadd <4 x float> %acc.1, %mul.2
  store <4 x float> %add, ptr %acc, align 4
  %a.at.1 = getelementptr float, ptr %a.at, i64 1
  %a.2 = load float, ptr %a.at.1, align 4, !invariant.load !0
  %one.1 = insertelement <4 x float> poison, float %a.2, i64 0
  %lanes.1 = shufflevector <4 x float> %one.1, <4 x float> poison, <4 x i32> zeroinitializer
  %mul.3 = fmul <4 x float> %lanes.1, %b.1
  %acc.2 = load <4 x float>, ptr %acc.at, align 4
  %add.1 = fadd <4 x float> %acc.2, %mul.3
  store <4 x float> %add.1, ptr %acc.at, align 4
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


!0 = !{}
