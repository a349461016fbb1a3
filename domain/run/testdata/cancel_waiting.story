# between two attempts no process lives: the holder just ends it
request steps=build:3
----
commit 101
  RunRequested
queued

claim
----
commit 102
  RunClaimed by r1
  StepStarted step 0 attempt 1 fence 0
running

stop
----
refused: nobody asked to stop the run

fail
----
commit 103
  StepFailed step 0 attempt 1: exit code 1, again at 10:00:01
waiting

cancel
----
commit 104
  CancelRequested
waiting

stop
----
commit 105
  RunEnded cancelled: cancelled on request
cancelled
