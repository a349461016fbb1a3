# a failing step waits longer each time, and never longer than its limit
request steps=build,test:4
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

finish
----
commit 103
  StepFinished step 0 attempt 1
  StepStarted step 1 attempt 1 fence 102
running

fail error="2 tests failed"
----
commit 104
  StepFailed step 1 attempt 1: 2 tests failed, again at 10:00:01
waiting

begin
----
refused: step test waits until 2026-01-02T10:00:01Z

wait for=1s
----
it is 10:00:01

begin
----
commit 105
  StepStarted step 1 attempt 2 fence 102
running

fail
----
commit 106
  StepFailed step 1 attempt 2: exit code 1, again at 10:00:03
waiting

wait for=2s
----
it is 10:00:03

begin
----
commit 107
  StepStarted step 1 attempt 3 fence 102
running

fail
----
commit 108
  StepFailed step 1 attempt 3: exit code 1, again at 10:00:06
waiting

wait for=3s
----
it is 10:00:06

begin
----
commit 109
  StepStarted step 1 attempt 4 fence 102
running

finish
----
commit 110
  StepFinished step 1 attempt 4
  RunEnded succeeded
succeeded

show
----
succeeded
  build    succeeded, 1 attempts, 0 failures
  test     succeeded, 4 attempts, 3 failures
