# a job says something while it runs; the same words with the same id count once
request steps=build
----
commit 101
  RunRequested
queued

say
----
refused: the run has not started. Nothing was posted

claim
----
commit 102
  RunClaimed by r1
  StepStarted step 0 attempt 1 fence 0
running

say
----
commit 103
  RunNoted
running

say
----
nothing to do
running

finish
----
commit 104
  StepFinished step 0 attempt 1
  RunEnded succeeded
succeeded

say id=n2
----
refused: the run has already ended: succeeded. Nothing was posted

# its last words were taken by the door a moment before it ended
say id=n3 text=done ago=1s
----
commit 105
  RunNoted
succeeded

say id=n3 text=done ago=1s
----
nothing to do
succeeded

wait for=10m
----
it is 10:10:00

say id=n4 text=late ago=5m
----
refused: the run has already ended: succeeded. Nothing was posted
