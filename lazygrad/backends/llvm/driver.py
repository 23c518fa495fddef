"""The native code that runs a program's kernels: one call a program, whatever its length.

All threads of a team walk the same table of launches. A launch is run by every thread (each does
its share) or by thread 0 alone; where it must wait for those before it, a barrier comes first. The
caller is thread 0; the others wait between programs, at first spinning, then asleep.

Words below are 8 bytes. Three blocks of memory are shared between this code and Python:

    program    count of launches | launches | count of arguments | arguments
               | of each its slot, and the bytes into that where it begins | times or 0 | clock
    launch     kernel | its arguments | 1: shared by all threads | 1: a barrier before
    control    what the team shares, at the offsets below, a cache line each so that threads that
               wait for one word do not disturb those who write another
"""

from __future__ import annotations

from string import Template

PROGRAM_WORDS = 7
LAUNCH_WORDS = 4

# Offsets in the control block, in bytes.
GENERATION = 0  # counts programs; a change wakes the workers
PROGRAM = 64  # the program to run; 0 tells the workers to end
THREADS = 72
SCRATCH = 80  # thread 0's scratch block
SCRATCH_STEP = 88  # from one thread's scratch block to the next
BASE = 96  # what `arrived` was when the program began
ARRIVED = 128  # counts arrivals at barriers, over all programs
SLEEPERS = 192
MUTEX = 256
CONDITION = 384
CONTROL_BYTES = 512

# A pause is 40 to 140 cycles. Who waits looks again after each, and after some time also lets
# others run, among whom may be the one waited for; who waits long for a program goes to sleep.
PATIENCE = 100  # looks before the first yield
IDLE_LOOKS = 2000  # looks before sleep

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
  %count.at = getelementptr i64, ptr %program, i64 2
  %count = load i64, ptr %count.at
  %arguments.at = getelementptr i64, ptr %program, i64 3
  %arguments = load ptr, ptr %arguments.at
  %slots.at = getelementptr i64, ptr %program, i64 4
  %slots = load ptr, ptr %slots.at
  br label %head
head:
  %n = phi i64 [ 0, %entry ], [ %n.next, %loop ]
  %more = icmp slt i64 %n, %count
  br i1 %more, label %loop, label %done
loop:
  %slot.at = getelementptr [2 x i64], ptr %slots, i64 %n
  %slot = load i64, ptr %slot.at
  %offset.at = getelementptr i64, ptr %slot.at, i64 1
  %offset = load i64, ptr %offset.at
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

; Wait until all threads are at barrier number `barrier` of this program.
define internal void @barrier(ptr %control, i64 %threads, i64 %barrier) {
entry:
  %arrived.at = getelementptr i8, ptr %control, i64 $ARRIVED
  %base.at = getelementptr i8, ptr %control, i64 $BASE
  %base = load i64, ptr %base.at
  %wanted = mul i64 %threads, %barrier
  %target = add i64 %base, %wanted
  %before = atomicrmw add ptr %arrived.at, i64 1 seq_cst
  br label %look
look:
  %spins = phi i64 [ 0, %entry ], [ %spins.next, %spin ]
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

define internal i64 @now(i32 %clock) {
  %time = alloca [2 x i64], align 16
  %ignored = call i32 @clock_gettime(i32 %clock, ptr %time)
  %seconds = load i64, ptr %time
  %rest.at = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %rest.at
  %whole = mul i64 %seconds, 1000000000
  %nanoseconds = add i64 %whole, %rest
  ret i64 %nanoseconds
}

; One thread's way through the launches. With times wanted, barriers are before and after each.
define internal void @walk(ptr %control, ptr %program, i64 %thread, i64 %threads) {
entry:
  %count = load i64, ptr %program
  %launches.at = getelementptr i64, ptr %program, i64 1
  %launches = load ptr, ptr %launches.at
  %times.at = getelementptr i64, ptr %program, i64 5
  %times = load ptr, ptr %times.at
  %clock.at = getelementptr i64, ptr %program, i64 6
  %clock = load i32, ptr %clock.at
  %scratch.at = getelementptr i8, ptr %control, i64 $SCRATCH
  %scratch.0 = load ptr, ptr %scratch.at
  %step.at = getelementptr i8, ptr %control, i64 $SCRATCH_STEP
  %step = load i64, ptr %step.at
  %offset = mul i64 %step, %thread
  %scratch = getelementptr i8, ptr %scratch.0, i64 %offset
  %timed = icmp ne ptr %times, null
  %alone = icmp eq i64 %threads, 1
  %first = icmp eq i64 %thread, 0
  br i1 %timed, label %start, label %head
start:
  br i1 %alone, label %begin, label %assemble
assemble:
  call void @barrier(ptr %control, i64 %threads, i64 1)
  br label %begin
begin:
  %barriers.begun = phi i64 [ 0, %start ], [ 1, %assemble ]
  %began = call i64 @now(i32 %clock)
  br label %head
head:
  %n = phi i64 [ 0, %entry ], [ 0, %begin ], [ %n.next, %next ]
  %barriers = phi i64 [ 0, %entry ], [ %barriers.begun, %begin ], [ %barriers.then, %next ]
  %time = phi i64 [ 0, %entry ], [ %began, %begin ], [ %time.then, %next ]
  %more = icmp slt i64 %n, %count
  br i1 %more, label %launch, label %end
launch:
  %row = mul i64 %n, $LAUNCH_WORDS
  %kernel.at = getelementptr i64, ptr %launches, i64 %row
  %kernel = load ptr, ptr %kernel.at
  %arguments.at = getelementptr i64, ptr %kernel.at, i64 1
  %arguments = load ptr, ptr %arguments.at
  %shared.at = getelementptr i64, ptr %kernel.at, i64 2
  %shared.word = load i64, ptr %shared.at
  %shared.flag = icmp ne i64 %shared.word, 0
  %wait.at = getelementptr i64, ptr %kernel.at, i64 3
  %wait.word = load i64, ptr %wait.at
  %wait.flag = icmp ne i64 %wait.word, 0
  %wait = select i1 %alone, i1 false, i1 %wait.flag
  br i1 %wait, label %barrier, label %go
barrier:
  %barriers.one = add i64 %barriers, 1
  call void @barrier(ptr %control, i64 %threads, i64 %barriers.one)
  br label %go
go:
  %barriers.now = phi i64 [ %barriers, %launch ], [ %barriers.one, %barrier ]
  %mine = or i1 %shared.flag, %first
  br i1 %mine, label %run, label %ran
run:
  %members = select i1 %shared.flag, i64 %threads, i64 1
  call void %kernel(ptr %arguments, i64 %thread, i64 %members, ptr %scratch)
  br label %ran
ran:
  br i1 %timed, label %measure, label %next
measure:
  %barriers.two = add i64 %barriers.now, 1
  br i1 %alone, label %stop, label %gather
gather:
  call void @barrier(ptr %control, i64 %threads, i64 %barriers.two)
  br label %stop
stop:
  br i1 %first, label %note, label %next
note:
  %ended = call i64 @now(i32 %clock)
  %taken = sub i64 %ended, %time
  %taken.at = getelementptr i64, ptr %times, i64 %n
  store i64 %taken, ptr %taken.at
  br label %next
next:
  %barriers.then = phi i64
    [ %barriers.now, %ran ], [ %barriers.two, %stop ], [ %barriers.two, %note ]
  %time.then = phi i64 [ %time, %ran ], [ %time, %stop ], [ %ended, %note ]
  %n.next = add i64 %n, 1
  br label %head
end:
  br i1 %alone, label %out, label %last
last:
  %barriers.last = add i64 %barriers, 1
  call void @barrier(ptr %control, i64 %threads, i64 %barriers.last)
  br label %out
out:
  ret void
}

; Thread 0: run a program with `threads` threads, of which the others are in @work.
define void @run(ptr %control, ptr %program, ptr %memories, i64 %threads) {
entry:
  call void @fill(ptr %program, ptr %memories)
  %alone = icmp eq i64 %threads, 1
  br i1 %alone, label %go, label %announce
announce:
  %program.at = getelementptr i8, ptr %control, i64 $PROGRAM
  store ptr %program, ptr %program.at
  %threads.at = getelementptr i8, ptr %control, i64 $THREADS
  store i64 %threads, ptr %threads.at
  %arrived.at = getelementptr i8, ptr %control, i64 $ARRIVED
  %arrived = load atomic i64, ptr %arrived.at acquire, align 8
  %base.at = getelementptr i8, ptr %control, i64 $BASE
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
  %generation.at = getelementptr i8, ptr %control, i64 $GENERATION
  %before = atomicrmw add ptr %generation.at, i64 1 seq_cst
  %sleepers.at = getelementptr i8, ptr %control, i64 $SLEEPERS
  %sleepers = load atomic i64, ptr %sleepers.at seq_cst, align 8
  %some = icmp ne i64 %sleepers, 0
  br i1 %some, label %call, label %done
call:
  %mutex = getelementptr i8, ptr %control, i64 $MUTEX
  %condition = getelementptr i8, ptr %control, i64 $CONDITION
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
  %generation.at = getelementptr i8, ptr %control, i64 $GENERATION
  %program.at = getelementptr i8, ptr %control, i64 $PROGRAM
  %threads.at = getelementptr i8, ptr %control, i64 $THREADS
  %sleepers.at = getelementptr i8, ptr %control, i64 $SLEEPERS
  %mutex = getelementptr i8, ptr %control, i64 $MUTEX
  %condition = getelementptr i8, ptr %control, i64 $CONDITION
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

; Prepare a control block of zeros.
define void @prepare(ptr %control) {
  %mutex = getelementptr i8, ptr %control, i64 $MUTEX
  %condition = getelementptr i8, ptr %control, i64 $CONDITION
  %a = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %b = call i32 @pthread_cond_init(ptr %condition, ptr null)
  ret void
}

; Tell the workers to end.
define void @dismiss(ptr %control) {
  %program.at = getelementptr i8, ptr %control, i64 $PROGRAM
  store ptr null, ptr %program.at
  call void @wake(ptr %control)
  ret void
}

declare i32 @sched_yield()
declare i32 @clock_gettime(i32, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
""")

FUNCTIONS = ("run", "work", "prepare", "dismiss")


def driver(triple: str) -> str:
    """The driver's LLVM IR for a processor."""
    if triple.startswith(("x86", "i686", "amd64")):
        kind = "x86"
    else:
        kind = "arm" if triple.startswith(("aarch64", "arm64")) else "other"
    return _TEXT.substitute(globals(), PAUSE=_PAUSE[kind])
