# down for three days, with the policy once: the newest missed one alone
arm cron="30 9 * * *"
wait for=72h
tick
show
----
commit 101
  ScheduleArmed "30 9 * * * UTC" after 01-02 10:00:00
----
it is 01-05 10:00:00
----
commit 102
  ScheduleFired clock through 01-05 09:30:00, 2 skipped
    j-p473k of 01-05 09:30:00
----
next 01-06 09:30:00
last 01-05 09:30:00 as j-p473k
2 skipped in all

# skip: none of them, and the clock goes on
misfire policy=skip
wait for=72h
tick
show
----
misfire policy=skip
----
it is 01-08 10:00:00
----
commit 103
  ScheduleFired clock through 01-08 09:30:00, 3 skipped
----
next 01-09 09:30:00
last 01-05 09:30:00 as j-p473k
5 skipped in all

# all: each of them
misfire policy=all
wait for=72h
tick
----
misfire policy=all
----
it is 01-11 10:00:00
----
commit 104
  ScheduleFired clock through 01-11 09:30:00
    j-vsv45 of 01-09 09:30:00
    j-pne4q of 01-10 09:30:00
    j-tdtqk of 01-11 09:30:00

# all with a limit: the newest
misfire policy=all limit=2
wait for=240h
tick
----
misfire policy=all limit=2
----
it is 01-21 10:00:00
----
commit 105
  ScheduleFired clock through 01-21 09:30:00, 8 skipped
    j-zwnqv of 01-20 09:30:00
    j-by4bs of 01-21 09:30:00

# one tick is on time and nine are missed
misfire policy=once
until at="2026-01-30 09:30"
tick
----
misfire policy=once
----
it is 01-30 09:30:00
----
commit 106
  ScheduleFired clock through 01-30 09:30:00, 7 skipped
    j-kbnde of 01-29 09:30:00
    j-cvajg of 01-30 09:30:00
