"""The native code that runs a program's kernels: one call a program, whatever its length.

All threads of a team walk the same table of launches. A launch is run by every thread (each does
its share) or by thread 0 alone; where it must wait for those before it, a barrier comes first. The
caller is thread 0; the others wait between programs, at first spinning, then asleep.

Words below are 8 bytes. Three blocks of memory are shared between this code and Python:

    program    count of launches | launches | count of arguments | arguments
               | of each argument the slot, and its first byte in the slot's memory
               | 0, or times: the clock before the first launch and after each | clock
    launch     kernel | its arguments | 1: shared by all threads | 1: a barrier before
    control    what the team shares, at the words below. Words that threads wait for have cache
               lines of their own: a write to another word does not disturb the wait.

The text below is LLVM IR but for two short forms: `%x = at %p[n]` is the address of word n, and
`%x = word T %p[n]` its value, of type T.
"""

from __future__ import annotations

import re
from string import Template

PROGRAM_WORDS = 7
LAUNCH_WORDS = 4

# Words of the control block.
GENERATION = 0  # counts programs; a change wakes the workers
PROGRAM = 8  # the program to run; 0 tells the workers to end
THREADS = 9
SCRATCH = 10  # thread 0's scratch block
SCRATCH_STEP = 11  # bytes from one thread's scratch block to the next
BASE = 12  # what `arrived` was when the program began
ARRIVED = 16  # counts arrivals at barriers, over all programs
SLEEPERS = 24
MUTEX = 32
CONDITION = 48
CONTROL_WORDS = 64

# A waiting thread looks again after each pause, of 40 to 140 cycles. After PATIENCE looks it also
# yields at each: the thread that it waits for may need its core. After IDLE_LOOKS a worker that
# waits for a program sleeps.
PATIENCE = 100
IDLE_LOOKS = 2000

_PAUSE = {
    "x86": "call void @llvm.x86.sse2.pause()",
    "arm": "call void @llvm.aarch64.hint(i32 1)",
    "other": "fence acquire",
}

_TEXT = Template("""\
; Runs the kernels of a program on a team of threads.

; This thread's argument pointers, from the memories that the caller gives by slot.
define internal void @fill(ptr %program, ptr %memories) {
entry:
  %count = word i64 %program[2]
  %arguments = word ptr %program[3]
  %slots = word ptr %program[4]
  br label %head
head:
  %n = phi i64 [ 0, %entry ], [ %n.next, %loop ]
  %more = icmp slt i64 %n, %count
  br i1 %more, label %loop, label %done
loop:
  %slot.at = getelementptr [2 x i64], ptr %slots, i64 %n
  %slot = load i64, ptr %slot.at
  %offset = word i64 %slot.at[1]
  %memory.at = getelementptr ptr, ptr %memories, i64 %slot
  %memory = load ptr, ptr %memory.at
  %argument = getelementptr i8, ptr %memory, i64 %offset
  %argument.at = getelementptr ptr, ptr %arguments, i64 %n
  store ptr %argument, ptr %argument.at
  %n.next = add i64 %n, 1
  br label %head
done:
  ret void
}

; Wait until all threads have come here. Of the arrivals since the program began, each barrier
; takes one a thread, so their count tells which barrier this is.
define internal void @barrier(ptr %control, i64 %threads) {
entry:
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %done, label %arrive
arrive:
  %arrived.at = at %control[$ARRIVED]
  %base = word i64 %control[$BASE]
  %before = atomicrmw add ptr %arrived.at, i64 1 seq_cst
  %since = sub i64 %before, %base
  %passed = udiv i64 %since, %threads
  %barriers = add i64 %passed, 1
  %wanted = mul i64 %barriers, %threads
  %target = add i64 %base, %wanted
  br label %look
look:
  %spins = phi i64 [ 0, %arrive ], [ %spins.next, %spin ]
  %arrived = load atomic i64, ptr %arrived.at acquire, align 8
  %all = icmp uge i64 %arrived, %target
  br i1 %all, label %done, label %wait
wait:
  %patient = icmp ult i64 %spins, $PATIENCE
  br i1 %patient, label %spin, label %yield
yield:
  %ignored = call i32 @sched_yield()
  br label %spin
spin:
  $PAUSE
  %spins.next = add i64 %spins, 1
  br label %look
done:
  ret void
}

; With times wanted: note the clock once all threads have come here.
define internal void @note(ptr %control, ptr %program, i64 %thread, i64 %threads, i64 %n) {
entry:
  %times = word ptr %program[5]
  %timed = icmp ne ptr %times, null
  br i1 %timed, label %wait, label %done
wait:
  call void @barrier(ptr %control, i64 %threads)
  %first = icmp eq i64 %thread, 0
  br i1 %first, label %look, label %done
look:
  %clock = word i32 %program[6]
  %time = getelementptr [2 x i64], ptr %times, i64 %n
  %ignored = call i32 @clock_gettime(i32 %clock, ptr %time)
  br label %done
done:
  ret void
}

; One thread's way through the launches.
define internal void @walk(ptr %control, ptr %program, i64 %thread, i64 %threads) {
entry:
  %count = word i64 %program[0]
  %launches = word ptr %program[1]
  %scratch.0 = word ptr %control[$SCRATCH]
  %step = word i64 %control[$SCRATCH_STEP]
  %offset = mul i64 %step, %thread
  %scratch = getelementptr i8, ptr %scratch.0, i64 %offset
  %first = icmp eq i64 %thread, 0
  call void @note(ptr %control, ptr %program, i64 %thread, i64 %threads, i64 0)
  br label %head
head:
  %n = phi i64 [ 0, %entry ], [ %n.next, %next ]
  %more = icmp slt i64 %n, %count
  br i1 %more, label %launch, label %end
launch:
  %row = mul i64 %n, $LAUNCH_WORDS
  %launch.at = at %launches[%row]
  %kernel = word ptr %launch.at[0]
  %arguments = word ptr %launch.at[1]
  %shared.word = word i64 %launch.at[2]
  %shared = icmp ne i64 %shared.word, 0
  %waits.word = word i64 %launch.at[3]
  %waits = icmp ne i64 %waits.word, 0
  br i1 %waits, label %wait, label %go
wait:
  call void @barrier(ptr %control, i64 %threads)
  br label %go
go:
  %mine = or i1 %shared, %first
  br i1 %mine, label %run, label %next
run:
  %members = select i1 %shared, i64 %threads, i64 1
  call void %kernel(ptr %arguments, i64 %thread, i64 %members, ptr %scratch)
  br label %next
next:
  %n.next = add i64 %n, 1
  call void @note(ptr %control, ptr %program, i64 %thread, i64 %threads, i64 %n.next)
  br label %head
end:
  call void @barrier(ptr %control, i64 %threads)
  ret void
}

; Thread 0: run a program with `threads` threads, of which the others are in @work.
define void @run(ptr %control, ptr %program, ptr %memories, i64 %threads) {
entry:
  call void @fill(ptr %program, ptr %memories)
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %go, label %announce
announce:
  %program.at = at %control[$PROGRAM]
  store ptr %program, ptr %program.at
  %threads.at = at %control[$THREADS]
  store i64 %threads, ptr %threads.at
  %arrived.at = at %control[$ARRIVED]
  %arrived = load atomic i64, ptr %arrived.at acquire, align 8
  %base.at = at %control[$BASE]
  store i64 %arrived, ptr %base.at
  call void @wake(ptr %control)
  br label %go
go:
  call void @walk(ptr %control, ptr %program, i64 0, i64 %threads)
  ret void
}

; Begin a new generation, and wake those who sleep.
define internal void @wake(ptr %control) {
entry:
  %generation.at = at %control[$GENERATION]
  %before = atomicrmw add ptr %generation.at, i64 1 seq_cst
  %sleepers.at = at %control[$SLEEPERS]
  %sleepers = load atomic i64, ptr %sleepers.at seq_cst, align 8
  %some = icmp ne i64 %sleepers, 0
  br i1 %some, label %call, label %done
call:
  %mutex = at %control[$MUTEX]
  %condition = at %control[$CONDITION]
  %a = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = call i32 @pthread_cond_broadcast(ptr %condition)
  %c = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}

; The other threads: run each new generation's program until there is none. `first` is the
; generation before the first that this thread takes part in.
define void @work(ptr %control, i64 %thread, i64 %first) {
entry:
  %generation.at = at %control[$GENERATION]
  %program.at = at %control[$PROGRAM]
  %threads.at = at %control[$THREADS]
  %sleepers.at = at %control[$SLEEPERS]
  %mutex = at %control[$MUTEX]
  %condition = at %control[$CONDITION]
  br label %idle
idle:
  %seen = phi i64 [ %first, %entry ], [ %seen.next, %go ]
  br label %look
look:
  %spins = phi i64 [ 0, %idle ], [ %spins.next, %spin ]
  %generation = load atomic i64, ptr %generation.at acquire, align 8
  %new = icmp ne i64 %generation, %seen
  br i1 %new, label %begin, label %wait
wait:
  %patient = icmp ult i64 %spins, $PATIENCE
  br i1 %patient, label %spin, label %yield
yield:
  %ignored = call i32 @sched_yield()
  %awaits = icmp ult i64 %spins, $IDLE_LOOKS
  br i1 %awaits, label %spin, label %sleep
spin:
  $PAUSE
  %spins.next = add i64 %spins, 1
  br label %look
sleep:
  %a = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = atomicrmw add ptr %sleepers.at, i64 1 seq_cst
  br label %check
check:
  %generation.now = load atomic i64, ptr %generation.at seq_cst, align 8
  %same = icmp eq i64 %generation.now, %seen
  br i1 %same, label %doze, label %awake
doze:
  %c = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %check
awake:
  %d = atomicrmw sub ptr %sleepers.at, i64 1 seq_cst
  %e = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %begin
begin:
  %seen.next = add i64 %seen, 1
  %program = load ptr, ptr %program.at
  %ends = icmp eq ptr %program, null
  br i1 %ends, label %out, label %go
go:
  %threads = load i64, ptr %threads.at
  call void @walk(ptr %control, ptr %program, i64 %thread, i64 %threads)
  br label %idle
out:
  ret void
}

; Copy slices of rows of bytes. From one slice or row to the next it is so many bytes.
define void @copy(ptr %source, ptr %target, i64 %slices, i64 %rows, i64 %bytes,
                  i64 %from.slice, i64 %from.row, i64 %to.slice, i64 %to.row) {
entry:
  br label %slice
slice:
  %s = phi i64 [ 0, %entry ], [ %s.next, %done ]
  %more = icmp slt i64 %s, %slices
  br i1 %more, label %begin, label %out
begin:
  %from.offset = mul i64 %s, %from.slice
  %from = getelementptr i8, ptr %source, i64 %from.offset
  %to.offset = mul i64 %s, %to.slice
  %to = getelementptr i8, ptr %target, i64 %to.offset
  br label %row
row:
  %r = phi i64 [ 0, %begin ], [ %r.next, %move ]
  %row.more = icmp slt i64 %r, %rows
  br i1 %row.more, label %move, label %done
move:
  %from.row.offset = mul i64 %r, %from.row
  %from.at = getelementptr i8, ptr %from, i64 %from.row.offset
  %to.row.offset = mul i64 %r, %to.row
  %to.at = getelementptr i8, ptr %to, i64 %to.row.offset
  call void @llvm.memcpy.p0.p0.i64(ptr %to.at, ptr %from.at, i64 %bytes, i1 false)
  %r.next = add i64 %r, 1
  br label %row
done:
  %s.next = add i64 %s, 1
  br label %slice
out:
  ret void
}

; Prepare a control block of zeros.
define void @prepare(ptr %control) {
  %mutex = at %control[$MUTEX]
  %condition = at %control[$CONDITION]
  %a = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %b = call i32 @pthread_cond_init(ptr %condition, ptr null)
  ret void
}

; Tell the workers to end.
define void @dismiss(ptr %control) {
  %program.at = at %control[$PROGRAM]
  store ptr null, ptr %program.at
  call void @wake(ptr %control)
  ret void
}

declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
""")

FUNCTIONS = ("run", "work", "copy", "prepare", "dismiss")


def driver(triple: str) -> str:
    """The driver's LLVM IR for a processor."""
    if triple.startswith(("x86", "i686", "amd64")):
        kind = "x86"
    else:
        kind = "arm" if triple.startswith(("aarch64", "arm64")) else "other"
    text = _TEXT.substitute(globals(), PAUSE=_PAUSE[kind])
    address = r"\1\2 = getelementptr i64, ptr \3, i64 \4"
    text = re.sub(r"( +)(%\S+) = at (%\S+)\[(\S+)\]", address, text)
    value = r"\1\2.at = getelementptr i64, ptr \4, i64 \5\n\1\2 = load \3, ptr \2.at"
    return re.sub(r"( +)(%\S+) = word (\S+) (%\S+)\[(\S+)\]", value, text)
