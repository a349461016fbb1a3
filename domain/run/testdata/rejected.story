# the same was waiting already
request
----
commit 101
  RunRequested
queued

yield kind=rejected reason="j-older is waiting already"
----
commit 102
  RunRefused
refused
