# who has started executes itself, whatever a lane says
request steps=build
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

yield
----
refused: the run has started and executes itself

finish
----
commit 103
  StepFinished step 0 attempt 1
  RunEnded succeeded
succeeded
