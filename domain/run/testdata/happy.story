# a person asks, a slot is granted, one runner claims it and runs all steps
request
----
commit 101
  RunRequested
queued

# the same request again, delivered once more: already so
request
----
nothing to do
queued

# the same id for another request is never "already done"
request identity="slash|T1|other"
----
refused: the id d-abcdefgh was already used for a different request: checkout@v2 to production. Repeat it with a new idempotency key

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

finish
----
commit 104
  StepFinished step 1 attempt 1
  StepStarted step 2 attempt 1 fence 102
running

finish
----
commit 105
  StepFinished step 2 attempt 1
  RunEnded succeeded
succeeded

show
----
succeeded
  build    succeeded, 1 attempts, 0 failures
  test     succeeded, 1 attempts, 0 failures
  deploy   succeeded, 1 attempts, 0 failures

# nothing follows an end
cancel
----
refused: the run has already ended: succeeded. Nothing was changed

claim runner=r2
----
refused: the run has already ended: succeeded
