# a schedule that is configured as paused begins so, and only then
arm cron="0 * * * *" paused=yes
show
wait for=3h
tick
arm cron="0 * * * *" paused=yes config=2
----
commit 101
  ScheduleArmed "0 * * * * UTC" after 01-02 10:00:00
  SchedulePaused: paused in the configuration
----
paused by U1: paused in the configuration
no next
0 skipped in all
----
it is 01-02 13:00:00
----
nothing to do
----
nothing to do

# a run now is possible all the same
trigger key=k1
trigger key=k1
----
commit 102
  ScheduleFired triggered
    j-punf2 of 01-02 13:00:00
----
nothing to do

# resumed: what was missed follows the policy
resume reason="the move is done"
resume
tick
show
----
commit 103
  ScheduleResumed: the move is done
----
nothing to do
----
commit 104
  ScheduleFired clock through 01-02 13:00:00, 1 skipped
    j-xq3pr of 01-02 12:00:00
    j-qc7uz of 01-02 13:00:00
----
next 01-02 14:00:00
last 01-02 13:00:00 as j-punf2
1 skipped in all

# paused again, twice; other times in the configuration leave it paused
pause reason="the office moves"
pause reason="again"
arm cron="15 * * * *" paused=yes config=3
show
wait for=2h
resume
misfire policy=skip
tick
show
----
commit 105
  SchedulePaused: the office moves
----
nothing to do
----
commit 106
  ScheduleArmed "15 * * * * UTC" after 01-02 13:00:00
----
paused by U1: the office moves
no next
last 01-02 13:00:00 as j-punf2
1 skipped in all
----
it is 01-02 15:00:00
----
commit 107
  ScheduleResumed: because
----
misfire policy=skip
----
commit 108
  ScheduleFired clock through 01-02 14:15:00, 2 skipped
----
next 01-02 15:15:00
last 01-02 13:00:00 as j-punf2
3 skipped in all

# a request to pause that is delivered again after somebody resumed changes nothing
pause id=c1
resume id=c2
pause id=c1
resume id=c2
show
----
commit 109
  SchedulePaused: because
----
commit 110
  ScheduleResumed: because
----
nothing to do
----
nothing to do
----
next 01-02 15:15:00
last 01-02 13:00:00 as j-punf2
3 skipped in all
