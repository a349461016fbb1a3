# a new schedule counts from now: the tick of this very moment is no concern of it
arm cron="0 * * * *"
tick
show
----
commit 101
  ScheduleArmed "0 * * * * UTC" after 01-02 10:00:00
----
nothing to do
----
next 01-02 11:00:00
0 skipped in all

# the same configuration again changes nothing
arm cron="0 * * * *" config=2
----
nothing to do

# the clock is a little late, and the tick is on time all the same; asking again
# changes nothing
wait for=1h
wait for=20s
tick
tick
show
----
it is 01-02 11:00:00
----
it is 01-02 11:00:20
----
commit 102
  ScheduleFired clock through 01-02 11:00:00
    j-oohfk of 01-02 11:00:00
----
nothing to do
----
next 01-02 12:00:00
last 01-02 11:00:00 as j-oohfk
0 skipped in all

# several orchestrators were busy for a minute: two ticks on time of an other text
arm cron="*/1 * * * *" config=3
wait for=100s
tick
----
commit 103
  ScheduleArmed "*/1 * * * * UTC" after 01-02 11:00:20
----
it is 01-02 11:02:00
----
commit 104
  ScheduleFired clock through 01-02 11:02:00
    j-co4vp of 01-02 11:01:00
    j-eeaoy of 01-02 11:02:00
