# one moment: once ever, and when it was written too late, never
arm at="2026-01-02 18:00" zone=Europe/London
wait for=24h
tick
tick
show
arm at="2026-01-02 19:00" zone=Europe/London config=2
tick
show
----
commit 101
  ScheduleArmed "at 2026-01-02 18:00:00 Europe/London" after 01-02 10:00:00
----
it is 01-03 10:00:00
----
commit 102
  ScheduleFired clock through 01-02 18:00:00
    j-6ggvq of 01-02 18:00:00
----
nothing to do
----
no next
last 01-02 18:00:00 as j-6ggvq
0 skipped in all
----
commit 103
  ScheduleArmed "at 2026-01-02 19:00:00 Europe/London" after 01-03 10:00:00
----
nothing to do
----
no next
last 01-02 18:00:00 as j-6ggvq
0 skipped in all

# it leaves the configuration, which a late replica does not undo, and comes back
# a week later as a new one
disarm config=4
arm at="2026-01-02 19:00" zone=Europe/London config=3
trigger key=k1
pause
wait for=168h
arm cron="0 * * * *" config=5
tick
show
----
commit 104
  ScheduleArmed "" after 01-03 10:00:00
----
nothing to do
----
refused: There is no such schedule in the configuration.
----
refused: There is no such schedule in the configuration.
----
it is 01-10 10:00:00
----
commit 105
  ScheduleArmed "0 * * * * UTC" after 01-10 10:00:00
----
nothing to do
----
next 01-10 11:00:00
last 01-02 18:00:00 as j-6ggvq
0 skipped in all
