# nobody holds the run: it ends at once
request
----
commit 101
  RunRequested
queued

cancel reason="wrong version"
----
commit 102
  CancelRequested
  RunEnded cancelled: cancelled: wrong version
cancelled

cancel
----
nothing to do
cancelled

show
----
cancelled: cancelled: wrong version
  build    pending, 0 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures
