# a restarted runner releases what its predecessor held; only one claim lives at a time
request
----
commit 101
  RunRequested
queued

claim runner=r1 life=.1
----
commit 102
  RunClaimed by r1
  StepStarted step 0 attempt 1 fence 0
running

claim runner=r2
----
refused: runner r1 holds the run under fence 102

claim runner=r1 life=.1
----
nothing to do
running

release reason="the runner restarted"
----
commit 103
  ClaimReleased
waiting

claim runner=r1 life=.2
----
commit 104
  RunClaimed by r1
  StepInterrupted step 0 attempt 1
  StepStarted step 0 attempt 2 fence 0
running

finish
----
commit 105
  StepFinished step 0 attempt 2
  StepStarted step 1 attempt 1 fence 104
running

finish
----
commit 106
  StepFinished step 1 attempt 1
  StepStarted step 2 attempt 1 fence 104
running

finish
----
commit 107
  StepFinished step 2 attempt 1
  RunEnded succeeded
succeeded
