# every minute, and away for four hours: bounded commits, until all is decided
arm cron="* * * * *"
misfire policy=all limit=150
wait for=4h
tick
tick
tick
----
commit 101
  ScheduleArmed "* * * * * UTC" after 01-02 10:00:00
----
misfire policy=all limit=150
----
it is 01-02 14:00:00
----
commit 102
  ScheduleFired clock through 01-02 13:08:00, 88 skipped
    j-3svso of 01-02 11:29:00
    j-7srce of 01-02 11:30:00
    j-cwbzm of 01-02 11:31:00
    and 96 more, to
    j-n4rsx of 01-02 13:08:00
----
commit 103
  ScheduleFired clock through 01-02 14:00:00
    j-m6isq of 01-02 13:09:00
    j-wokzg of 01-02 13:10:00
    j-aln5y of 01-02 13:11:00
    and 48 more, to
    j-pfpmm of 01-02 14:00:00
----
nothing to do

# away for a year: what is older than the newest is counted in parts
misfire policy=once
wait for=8760h
tick
tick
tick
tick
tick
tick
tick
show
----
misfire policy=once
----
it is 01-02 14:00:00
----
commit 104
  ScheduleFired clock through 03-13 00:39:00, 99999 skipped
----
commit 105
  ScheduleFired clock through 05-21 11:18:00, 99999 skipped
----
commit 106
  ScheduleFired clock through 07-29 21:57:00, 99999 skipped
----
commit 107
  ScheduleFired clock through 10-07 08:36:00, 99999 skipped
----
commit 108
  ScheduleFired clock through 12-15 19:15:00, 99999 skipped
----
commit 109
  ScheduleFired clock through 01-02 14:00:00, 25602 skipped
    j-qe227 of 01-02 13:58:00
    j-qftdf of 01-02 13:59:00
    j-ifpwn of 01-02 14:00:00
----
nothing to do
----
next 01-02 14:01:00
last 01-02 14:00:00 as j-ifpwn
525685 skipped in all
