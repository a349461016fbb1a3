arm cron="0 6 * * *"
wait for=26h
tick
----
commit 101
  ScheduleArmed "0 6 * * * UTC" after 01-02 10:00:00
----
it is 01-03 12:00:00
----
commit 102
  ScheduleFired clock through 01-03 06:00:00
    j-bgom4 of 01-03 06:00:00

# the tick that has run is left out, and so is every one that was asked for before
backfill since="2025-12-31 06:00" until="2026-01-03 06:01"
backfill since="2025-12-31 06:00" until="2026-01-03 06:01"
----
commit 103
  ScheduleFired backfill
    j-mbvfg of 12-31 06:00:00
    j-bzopb of 01-01 06:00:00
    j-2iwbn of 01-02 06:00:00
----
nothing to do

# the bounds: since counts, until does not
backfill since="2025-12-30 06:00" until="2025-12-31 06:00"
----
commit 104
  ScheduleFired backfill
    j-3pdt7 of 12-30 06:00:00

# what is refused
backfill since="2026-01-02 06:00" until="2026-01-02 06:00"
backfill since="2026-01-02 06:00" until="2026-02-02 06:00"
backfill since="2025-01-02 06:00" until="2026-01-02 06:00"
----
refused: The time to backfill must begin before it ends.
----
refused: Only a time that has passed can be backfilled; the clock runs what is to come.
----
refused: That time has more than 100 ticks: backfill it in parts.

# it moves neither the clock nor what counts as skipped
show
----
next 01-04 06:00:00
last 01-03 06:00:00 as j-bgom4
0 skipped in all
