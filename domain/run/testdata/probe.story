# an interrupted step with a probe is asked itself: here it had not finished
request steps=migrate:1:probe
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

lapse
----
commit 103
  ClaimLapsed
waiting

claim runner=r2
----
commit 104
  RunClaimed by r2
  StepInterrupted step 0 attempt 1
running

begin
----
commit 105
  StepStarted step 0 attempt 2 fence 104
running

finish
----
commit 106
  StepFinished step 0 attempt 2
  RunEnded succeeded
succeeded

show
----
succeeded
  migrate  succeeded, 2 attempts, 0 failures
